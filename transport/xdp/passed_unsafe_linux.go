package xdp

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counting is the memory of a map of one number, which a program of the kernel counts.
type counting []byte

// mapCounter maps it, to be unmapped.
func mapCounter(fd int) (counting, error) {
	mem, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("xdp: cannot map a counter of the program: %w", os.NewSyscallError("mmap", err))
	}
	return mem, nil
}

// number is what is counted: a page begins with it, so it is aligned. It may be read
// until unmap.
func (c counting) number() *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&c[0])) }

func (c counting) unmap() error {
	if c == nil {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(c))
}
