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
	u := &Umem{bytes: bytes, frameSize: frameSize}
	runtime.AddCleanup(u, func(bytes []byte) { _ = unix.Munmap(bytes) }, bytes)
	return u, nil
}

// CanOffloadChecksums tells whether the kernel takes metadata of packets to be sent
// (Linux 6.11), by trying it.
func CanOffloadChecksums() bool {
	u, err := NewUmem(1, LargeFrame)
	if err != nil {
		return false
	}
	defer u.Close()
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	u.OffloadChecksums(true)
	return register(fd, u) == 0
}

// Close gives the memory back. The addresses stay valid as long as anybody refers
// to u: whoever still has views of it, and should not, reads zeros and harms
// nobody.
func (u *Umem) Close() error {
	return os.NewSyscallError("madvise", unix.Madvise(u.bytes, unix.MADV_DONTNEED))
}
