package relay

import (
	"testing"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

func TestMain(m *testing.M) { transporttest.Isolated(m) }
