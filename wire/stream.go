package wire

import "encoding/binary"

// The messages of streams have the header of all messages. In it Slot is the index
// of the stream, and Method the number of its use. What is sent in order has a place
// in the stream: Sequence is the place of a StreamData or StreamEnd, modulo 2^32. A
// StreamHeader is at place 0, and its Sequence is the method. In a StreamWindow it
// is the place before which messages may begin.
const (
	// StreamPlace is by how much more than its length a message moves the place of
	// the next.
	StreamPlace = 16
	// MaxStreamMessage is the longest message of a stream, in bytes.
	MaxStreamMessage = 1 << 30
	// WindowUnit is that of Params.StreamWindow, in bytes.
	WindowUnit = 1 << 10
	// StreamAskSize is the length of a StreamWindow's body, if it has one: the place
	// behind all that its sender knows to have arrived.
	StreamAskSize = 4
)

// endTextSize is that of the length of a StreamEnd's text.
const endTextSize = 2

// EndSize is the length of the body of a StreamEnd.
func EndSize(text string, trailer []byte) int { return endTextSize + len(text) + len(trailer) }

// PutEnd encodes the body of a StreamEnd at the start of b, and returns its size:
// what went wrong, of 65535 bytes at most, and what the application adds.
func PutEnd(b []byte, text string, trailer []byte) int {
	binary.LittleEndian.PutUint16(b, uint16(len(text)))
	n := endTextSize + copy(b[endTextSize:], text)
	return n + copy(b[n:], trailer)
}

// ParseEnd decodes the body of a StreamEnd, of which it returns views. An empty one
// says nothing.
func ParseEnd(b []byte) (text, trailer []byte, err error) {
	if len(b) == 0 {
		return nil, nil, nil
	}
	if len(b) < endTextSize {
		return nil, nil, ErrLength
	}
	n := endTextSize + int(binary.LittleEndian.Uint16(b))
	if n > len(b) {
		return nil, nil, ErrLength
	}
	return b[endTextSize:n:n], b[n:], nil
}
