package xsk

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

// Bytes views n bytes from an address on. Nothing lies behind them.
func (u *Umem) Bytes(addr uint64, n int) []byte { return u.bytes[addr:][:n:n] }

// FrameSize is the size of a frame in bytes, a power of two.
func (u *Umem) FrameSize() int { return u.frameSize }
