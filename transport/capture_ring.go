package transport

import (
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"
)

// captureRing takes frames from one goroutine to another, in memory of fixed size:
// one ring of what is known of them, and one of their bytes.
type captureRing struct {
	frames []captured
	bytes  []byte
	next   captureCursor // the writer's, ahead of written by what is not published

	written atomic.Uint64 // frames
	_       [56]byte      // keeps the writer's line from the reader's
	taken   atomic.Uint64 // frames that were read
	freed   atomic.Uint64 // bytes that were read
	missed  atomic.Uint64
	ready   chan struct{}

	// The reader's:
	shown    Frame
	assembly []byte // of a frame whose bytes wrap
}

// captureCursor is how far the writer is.
type captureCursor struct {
	frame, byte uint64
	missed      uint64 // since the last frame
	total       uint64 // missed in all
}

// captured is what is known of a frame, whose bytes lie in the other ring.
type captured struct {
	time      int64
	waited    time.Duration
	missed    uint64
	peer      netip.AddrPort
	local     netip.Addr
	port      uint16 // local
	direction Direction
	ecn       ECN
	size      int32
	kept      int32
	start     uint64
	err       error
}

// bytesPerFrame is the size of datagrams at which both rings are full at once.
const bytesPerFrame = 512

func (r *captureRing) init(size int) {
	size = 1 << bits.Len(uint(max(size, 1<<12)-1))
	r.bytes = make([]byte, size)
	r.frames = make([]captured, size/bytesPerFrame)
	r.ready = make(chan struct{}, 1)
}

// put appends a frame whose data are head and payload, up to snap bytes, and returns
// where the rest of what is known of it goes; nil if there is no room. It is not seen
// before publish.
func (r *captureRing) put(head, payload []byte, snap int) *captured {
	size := len(head) + len(payload)
	kept := size
	if snap > 0 {
		kept = min(kept, snap)
	}
	n := &r.next
	if n.frame-r.taken.Load() == uint64(len(r.frames)) || n.byte+uint64(kept)-r.freed.Load() > uint64(len(r.bytes)) {
		n.missed++
		n.total++
		return nil
	}
	slot := &r.frames[n.frame&uint64(len(r.frames)-1)]
	slot.missed, n.missed = n.missed, 0
	slot.start, slot.kept, slot.size = n.byte, int32(kept), int32(size)
	if first := head[:min(len(head), kept)]; len(first) > 0 {
		r.copyIn(n.byte, first)
	}
	if rest := payload[:max(0, kept-len(head))]; len(rest) > 0 {
		r.copyIn(n.byte+uint64(kept-len(rest)), rest)
	}
	n.byte += uint64(kept)
	n.frame++
	return slot
}

func (r *captureRing) copyIn(at uint64, b []byte) {
	if n := copy(r.bytes[at&uint64(len(r.bytes)-1):], b); n < len(b) {
		copy(r.bytes, b[n:])
	}
}

// publish shows the reader what was put.
func (r *captureRing) publish() {
	if r.next.total != r.missed.Load() {
		r.missed.Store(r.next.total)
	}
	if r.next.frame == r.written.Load() {
		return
	}
	r.written.Store(r.next.frame)
	if r.next.frame-r.taken.Load() > uint64(len(r.frames))/2 || r.next.byte-r.freed.Load() > uint64(len(r.bytes))/2 {
		r.wake()
	}
}

func (r *captureRing) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// read shows f what is published.
func (r *captureRing) read(f func(*Frame)) int {
	from, to := r.taken.Load(), r.written.Load()
	for at := from; at < to; at++ {
		slot := &r.frames[at&uint64(len(r.frames)-1)]
		start := slot.start & uint64(len(r.bytes)-1)
		data := r.bytes[start:min(start+uint64(slot.kept), uint64(len(r.bytes)))]
		if wrapped := int(slot.kept) - len(data); wrapped > 0 {
			r.assembly = append(append(r.assembly[:0], data...), r.bytes[:wrapped]...)
			data = r.assembly
		}
		frame := &r.shown // whose fields are set one by one: a literal would be copied
		frame.Time, frame.Waited, frame.Missed = slot.time, slot.waited, slot.missed
		frame.Local, frame.Peer = netip.AddrPortFrom(slot.local, slot.port), slot.peer
		frame.Direction, frame.ECN, frame.Err = slot.direction, slot.ecn, slot.err
		frame.Size, frame.Data = int(slot.size), data
		f(frame)
		r.freed.Store(slot.start + uint64(slot.kept))
		r.taken.Store(at + 1)
	}
	return int(to - from)
}
