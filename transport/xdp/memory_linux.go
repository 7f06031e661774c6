package xdp

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/internal/xsk"
)

// memory is frames of one UMEM, of one interface or of several that share it by its
// name. Each queue has a block of them. It changes under ports, but for what is
// inside a block.
type memory struct {
	name   string // "" where it is one interface's alone
	umem   *xsk.Umem
	layout layout
	blocks []block
	users  int           // interfaces
	bound  []*xsk.Socket // open
}

// layout says what is in a block: first buffers to send, then frames to receive.
type layout struct {
	frameSize int // in bytes
	run       int // frames of a buffer to send
	send      int // buffers
	receive   int // frames
	checksums checksums
}

// checksums is who completes them for what is sent.
type checksums int

const (
	ours checksums = iota
	devices
	kernels
)

// frames is how many a block has: a multiple of the run.
func (l layout) frames() int { return (l.send*l.run + l.receive + l.run - 1) / l.run * l.run }

// block is the frames of a queue. It is free when it has no owner, and none of its
// frames is on the way out by another queue.
type block struct {
	first uint64 // address
	mu    sync.Mutex
	owner *queue
	lent  int      // frames that other queues send
	back  []uint64 // of those, what was sent, for the owner to take
	news  atomic.Bool
}

// memoryFor returns memory for a port's queues, and counts the port as a user of it.
func memoryFor(p *port, l layout) (*memory, error) {
	name := p.cfg.Memory
	if m := ports.memories[name]; m != nil {
		if m.layout != l {
			return nil, wrong("memory", "%s has a memory %q in common with other interfaces, and needs frames of another kind: give all of them the same MTU, rings, buffers and tx_checksum",
				p.device.name, name)
		}
		m.users++
		return m, nil
	}
	n := len(p.queues)
	if name != "" {
		n *= p.cfg.Sharers
	}
	umem, err := xsk.NewUmem(n*l.frames(), l.frameSize)
	if err != nil {
		return nil, fmt.Errorf("xdp: %w", err)
	}
	if l.checksums != ours {
		umem.OffloadChecksums(l.checksums == kernels)
	}
	m := &memory{name: name, umem: umem, layout: l, blocks: make([]block, n), users: 1}
	for i := range m.blocks {
		m.blocks[i].first = uint64(i * l.frames() * l.frameSize)
	}
	if name != "" {
		if ports.memories == nil {
			ports.memories = make(map[string]*memory)
		}
		ports.memories[name] = m
	}
	return m, nil
}

// frames is how many it has.
func (m *memory) frames() uint64 { return uint64(len(m.blocks) * m.layout.frames()) }

// leave is the last that a port does with m.
func (m *memory) leave() error {
	if m.users--; m.users > 0 {
		return nil
	}
	if m.name != "" {
		delete(ports.memories, m.name)
	}
	return m.umem.Close()
}

// take gives a queue a block.
func (m *memory) take(q *queue) (*block, error) {
	for i := range m.blocks {
		if b := &m.blocks[i]; b.takenBy(q) {
			return b, nil
		}
	}
	return nil, wrong("sharers", "the memory %q is for %d queues, and all are in use: tell the first who opens it of more interfaces, or open it again when all have closed",
		m.name, len(m.blocks))
}

func (b *block) takenBy(q *queue) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.owner != nil || b.lent > 0 {
		return false
	}
	b.owner, b.back = q, b.back[:0]
	b.news.Store(false)
	return true
}

// leave ends the owner's use of the block. What other queues still send of it stays
// theirs until it is sent.
func (b *block) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owner = nil
}

// lend counts frames that another queue has taken over.
func (b *block) lend(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent += n
}

// giveBack returns a frame to the queue that it came from. Any goroutine may call it.
func (m *memory) giveBack(addr uint64) {
	b := &m.blocks[addr/uint64(m.layout.frames()*m.layout.frameSize)]
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent--
	b.back = append(b.back, addr)
	b.news.Store(true)
}

// takeBack moves what was given back to free; the owner calls it.
func (b *block) takeBack(free *xsk.Frames) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = len(b.back)
	for _, addr := range b.back {
		free.Put(addr)
	}
	b.back = b.back[:0]
	b.news.Store(false)
	return n
}

// forget takes out a socket that is about to be closed.
func (m *memory) forget(s *xsk.Socket) {
	for i, other := range m.bound {
		if other == s {
			m.bound = append(m.bound[:i], m.bound[i+1:]...)
			return
		}
	}
}

// socket is an open one over the same memory, or nil.
func (m *memory) socket() *xsk.Socket {
	if len(m.bound) == 0 {
		return nil
	}
	return m.bound[0]
}
