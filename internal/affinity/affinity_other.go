//go:build !linux

package affinity

import (
	"errors"
	"fmt"
	"runtime"
)

// Pin is for Linux; see the package comment.
func Pin(cpu int) (undo func(), err error) { return nil, unsupported() }

// SetProcess is for Linux; see the package comment.
func SetProcess(cpus ...int) error { return unsupported() }

func unsupported() error {
	return fmt.Errorf("%s has no call to tie threads to CPUs: leave out the CPU option: %w", runtime.GOOS, errors.ErrUnsupported)
}
