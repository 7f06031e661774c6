package xsk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// NewUmem maps memory for so many frames, which it touches. To be closed when no
// socket uses it any more.
func NewUmem(frames, frameSize int) (*Umem, error) {
	bytes, err := unix.Mmap(-1, 0, frames*frameSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("xsk: no memory for %d frames of %d bytes: %w", frames, frameSize, err)
	}
	return &Umem{bytes, frameSize}, nil
}

// Close unmaps the memory.
func (u *Umem) Close() error {
	if u.bytes == nil {
		return nil
	}
	err := os.NewSyscallError("munmap", unix.Munmap(u.bytes))
	u.bytes = nil
	return err
}
