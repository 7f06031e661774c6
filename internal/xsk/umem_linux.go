package xsk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The sizes of a frame. Larger ones than a page the kernel takes only of
// hugepages.
const (
	SmallFrame = 2048
	LargeFrame = 4096
	// Reserve is what the kernel keeps free in front of a received packet.
	Reserve = 256
)

// Umem is memory for packets, shared with the kernel. Several sockets, of several
// queues and devices, may use it at once.
type Umem struct {
	bytes     []byte
	frameSize int
}

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

// Bytes views n bytes from an address on. Nothing lies behind them.
func (u *Umem) Bytes(addr uint64, n int) []byte { return u.bytes[addr:][:n:n] }

// FrameSize is the size of a frame in bytes, a power of two.
func (u *Umem) FrameSize() int { return u.frameSize }

// Close unmaps the memory.
func (u *Umem) Close() error {
	if u.bytes == nil {
		return nil
	}
	err := os.NewSyscallError("munmap", unix.Munmap(u.bytes))
	u.bytes = nil
	return err
}
