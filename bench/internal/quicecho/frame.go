package quicecho

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	maxMessage = 64 << 20
	alpn       = "bench"

	lengthSize = 4
	uploadSize = 16 // of the reply
)

// The kinds of calls: a stream's first byte says which it is for.
const (
	echo byte = iota
	upload
)

// write writes a message in one call.
func write(w io.Writer, buf, message []byte) error {
	buf = binary.LittleEndian.AppendUint32(buf[:0], uint32(len(message)))
	_, err := w.Write(append(buf, message...))
	return err
}

// read reads a message into buf, which has room for it.
func read(r io.Reader, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, buf[:lengthSize]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(buf))
	if n > len(buf) {
		return nil, fmt.Errorf("a message of %d bytes; there is room for %d", n, len(buf))
	}
	_, err := io.ReadFull(r, buf[:n])
	return buf[:n], err
}
