package transport

import (
	"math/bits"
	"sync/atomic"
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

// captured is a frame whose Data lie in the ring of bytes.
type captured struct {
	Frame
	start uint64
	kept  int
}

// bytesPerFrame is the size of datagrams at which both rings are full at once.
const bytesPerFrame = 512

func (r *captureRing) init(size int) {
	size = 1 << bits.Len(uint(max(size, 1<<12)-1))
	r.bytes = make([]byte, size)
	r.frames = make([]captured, size/bytesPerFrame)
	r.ready = make(chan struct{}, 1)
}

// put appends a frame whose data are head and payload, up to snap bytes. It is
// not seen before publish.
func (r *captureRing) put(f Frame, head, payload []byte, snap int) {
	kept := len(head) + len(payload)
	if snap > 0 {
		kept = min(kept, snap)
	}
	n := &r.next
	if n.frame-r.taken.Load() == uint64(len(r.frames)) || n.byte+uint64(kept)-r.freed.Load() > uint64(len(r.bytes)) {
		n.missed++
		n.total++
		return
	}
	slot := &r.frames[n.frame&uint64(len(r.frames)-1)]
	slot.Frame = f
	slot.Missed, n.missed = n.missed, 0
	slot.start, slot.kept = n.byte, kept
	first := head[:min(len(head), kept)]
	r.copyIn(n.byte, first)
	r.copyIn(n.byte+uint64(len(first)), payload[:kept-len(first)])
	n.byte += uint64(kept)
	n.frame++
}

func (r *captureRing) copyIn(at uint64, b []byte) {
	if len(b) > 0 {
		copy(r.bytes, b[copy(r.bytes[at&uint64(len(r.bytes)-1):], b):])
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
		frame := &r.shown
		*frame = slot.Frame
		start := slot.start & uint64(len(r.bytes)-1)
		frame.Data = r.bytes[start:min(start+uint64(slot.kept), uint64(len(r.bytes)))]
		if wrapped := slot.kept - len(frame.Data); wrapped > 0 {
			r.assembly = append(append(r.assembly[:0], frame.Data...), r.bytes[:wrapped]...)
			frame.Data = r.assembly
		}
		f(frame)
		slot.Err = nil
		r.freed.Store(slot.start + uint64(slot.kept))
		r.taken.Store(at + 1)
	}
	return int(to - from)
}
