//go:build unix

package main

import (
	"os"
	"syscall"
)

// askSignals ask for a recording.
var askSignals = []os.Signal{syscall.SIGUSR1}
