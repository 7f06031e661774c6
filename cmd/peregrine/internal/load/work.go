package load

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/service"
)

// Work is one kind of call. Its methods may be called from several goroutines.
type Work interface {
	// Method is the one to call.
	Method() uint16
	// RequestSize is how long the buffer for Request must be, ReplySize how
	// long the one for the reply, in bytes.
	RequestSize() int
	ReplySize() int
	// Request returns the request numbered seq. It may be written to buf.
	Request(buf []byte, seq uint64) []byte
	// Right says whether reply answers request.
	Right(request, reply []byte, seq uint64) bool
	// Goodput is how many bytes a call moves.
	Goodput() int
}

// MinSize is the least Size of Echo and Upload: it holds the sequence number.
const MinSize = 8

// Echo calls get their request back.
type Echo struct{ Size int }

// Method implements Work, as do the others.
func (e Echo) Method() uint16   { return service.Echo }
func (e Echo) RequestSize() int { return e.Size }
func (e Echo) ReplySize() int   { return e.Size }
func (e Echo) Goodput() int     { return e.Size }

func (e Echo) Request(buf []byte, seq uint64) []byte {
	binary.LittleEndian.PutUint64(buf, seq)
	return buf[:e.Size]
}

func (e Echo) Right(request, reply []byte, _ uint64) bool { return bytes.Equal(request, reply) }

// Upload calls send much. The reply tells the length and the beginning of what
// came, or its digest if Verify is set, which takes both sides' time.
type Upload struct {
	Size   int
	Verify bool
}

func (u Upload) Method() uint16 {
	if u.Verify {
		return service.Digest
	}
	return service.Upload
}

func (u Upload) RequestSize() int { return 0 }
func (u Upload) ReplySize() int   { return 16 }
func (u Upload) Goodput() int     { return u.Size }

func (u Upload) Request(_ []byte, seq uint64) []byte { return service.Pattern(seq, u.Size) }

func (u Upload) Right(request, reply []byte, _ uint64) bool {
	if len(reply) != 16 || binary.LittleEndian.Uint64(reply) != uint64(u.Size) {
		return false
	}
	if u.Verify {
		return binary.LittleEndian.Uint64(reply[8:]) == uint64(crc32.Checksum(request, service.Castagnoli))
	}
	return bytes.Equal(reply[8:], request[:8])
}

// Download calls receive much. Of the reply one word in each page is compared,
// or all of it if Verify is set, which takes the client's time.
type Download struct {
	Size   int
	Verify bool
}

func (d Download) Method() uint16   { return service.Download }
func (d Download) RequestSize() int { return 16 }
func (d Download) ReplySize() int   { return d.Size }
func (d Download) Goodput() int     { return d.Size }

func (d Download) Request(buf []byte, seq uint64) []byte {
	binary.LittleEndian.PutUint64(buf, uint64(d.Size))
	binary.LittleEndian.PutUint64(buf[8:], seq)
	return buf
}

func (d Download) Right(_, reply []byte, seq uint64) bool {
	if len(reply) != d.Size {
		return false
	}
	pattern := service.Pattern(seq, d.Size)
	if d.Verify {
		return crc32.Checksum(reply, service.Castagnoli) == crc32.Checksum(pattern, service.Castagnoli)
	}
	const page, word = 4096, 8
	for i := 0; i < len(reply); i += page {
		end := min(i+word, len(reply))
		if !bytes.Equal(reply[i:end], pattern[i:end]) {
			return false
		}
	}
	last := max(0, len(reply)-word)
	return bytes.Equal(reply[last:], pattern[last:])
}
