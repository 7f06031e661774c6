package xsk

import (
	"fmt"
	"os"
	"runtime"

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
	u := &Umem{bytes, frameSize}
	runtime.AddCleanup(u, func(bytes []byte) { _ = unix.Munmap(bytes) }, bytes)
	return u, nil
}

// Close gives the memory back. The addresses stay valid as long as anybody refers
// to u: whoever still has views of it, and should not, reads zeros and harms
// nobody.
func (u *Umem) Close() error {
	return os.NewSyscallError("madvise", unix.Madvise(u.bytes, unix.MADV_DONTNEED))
}
