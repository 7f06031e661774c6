package grpcecho

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// turns is how many different contents messages have: message seq is the
// pattern from its word seq%turns on.
const turns = 64

// words is the fixed pattern, long enough for the longest message.
var words = sync.OnceValue(func() []byte {
	text := make([]byte, maxMessage+8*turns)
	for i := 0; i < len(text); i += 8 {
		binary.LittleEndian.PutUint64(text[i:], uint64(i)*0x9e3779b97f4a7c15)
	}
	return text
})

func pattern(seq uint64, n int) []byte {
	from := 8 * int(seq%turns)
	return words()[from : from+n]
}

// samePages compares one word in each page, and the last one.
func samePages(got, want []byte) bool {
	const page, word = 4096, 8
	if len(got) != len(want) {
		return false
	}
	for i := 0; i < len(got); i += page {
		end := min(i+word, len(got))
		if !bytes.Equal(got[i:end], want[i:end]) {
			return false
		}
	}
	last := max(0, len(got)-word)
	return bytes.Equal(got[last:], want[last:])
}
