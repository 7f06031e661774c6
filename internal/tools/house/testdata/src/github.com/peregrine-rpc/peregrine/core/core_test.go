package core

import (
	"testing"
	"time"

	_ "example.com/lib"
)

func TestFree(t *testing.T) {
	go time.Sleep(1)
}
