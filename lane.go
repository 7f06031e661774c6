package peregrine

import (
	"encoding/binary"
	"sync"
)

// lane is a queue of messages between a stream's user and its loop. It keeps copies,
// in memory that streams share: one that is empty has none.
type lane struct {
	filling, reading *frames
	waiting          int // bytes that were put and not taken
}

// frames are messages, each behind its length.
type frames struct {
	bytes []byte
	read  int
	last  int // where the last one begins
}

const (
	frameHead = 4
	// laneRoom is how many bytes a lane takes before its writer waits.
	laneRoom = 32 << 10
	// keptFrames is the most memory that is kept for other streams.
	keptFrames = 8 * laneRoom
)

var framesPool = sync.Pool{New: func() any { return new(frames) }}

// put appends a message: to the last one, if there may be such and it is no longer than room
// then. Where room is 0, messages stay as many, those without a byte as well.
func (l *lane) put(message []byte, room int) {
	if l.filling == nil {
		l.filling = framesPool.Get().(*frames)
	}
	f := l.filling
	if joined := len(f.bytes) - f.last - frameHead + len(message); 0 < room && joined <= room && len(f.bytes) > 0 {
		binary.LittleEndian.PutUint32(f.bytes[f.last:], uint32(joined))
	} else {
		f.last = len(f.bytes)
		f.bytes = binary.LittleEndian.AppendUint32(f.bytes, uint32(len(message)))
		l.waiting += frameHead
	}
	f.bytes = append(f.bytes, message...)
	l.waiting += len(message)
}

// take returns the next message, which is valid until the next take.
func (l *lane) take() (message []byte, ok bool) {
	if f := l.reading; f != nil && f.read == len(f.bytes) {
		f.bytes, f.read, f.last = f.bytes[:0], 0, 0
		if cap(f.bytes) <= keptFrames {
			framesPool.Put(f)
		}
		l.reading = nil
	}
	if l.reading == nil {
		l.reading, l.filling = l.filling, nil
	}
	f := l.reading
	if f == nil {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint32(f.bytes[f.read:]))
	message = f.bytes[f.read+frameHead:][:n:n]
	f.read += frameHead + n
	l.waiting -= frameHead + n
	return message, true
}

// spoil overwrites what was taken, so that who keeps it notices.
func (l *lane) spoil() {
	if f := l.reading; f != nil {
		for i := range f.read {
			f.bytes[i] = 0xDB
		}
	}
}

// tidy gives up memory that holds nothing any more.
func (l *lane) tidy() {
	if l.waiting == 0 {
		l.take()
	}
}
