package grpcecho

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// work is one kind of call.
type work interface {
	method() string
	// request returns the request numbered seq. It may be written to buf.
	request(buf []byte, seq uint64) []byte
	// right says whether reply answers request.
	right(request, reply []byte, seq uint64) bool
}

func (l load) work() (work, error) {
	switch l.mode {
	case "rate", "latency":
		return echo{l.size}, nil
	case "upload":
		return uploads{l.size}, nil
	case "download":
		return downloads{l.size}, nil
	}
	return nil, fmt.Errorf("--mode is rate, latency, upload or download, not %q", l.mode)
}

// echo calls get their request back.
type echo struct{ size int }

func (echo) method() string { return echoMethod }

func (e echo) request(buf []byte, seq uint64) []byte {
	binary.LittleEndian.PutUint64(buf, seq)
	return buf[:e.size]
}

func (echo) right(request, reply []byte, _ uint64) bool { return bytes.Equal(request, reply) }

// uploads send much and get back its length and beginning.
type uploads struct{ size int }

func (uploads) method() string { return uploadMethod }

func (u uploads) request(_ []byte, seq uint64) []byte { return pattern(seq, u.size) }

func (u uploads) right(request, reply []byte, _ uint64) bool {
	return len(reply) == 16 && binary.LittleEndian.Uint64(reply) == uint64(u.size) && bytes.Equal(reply[8:], request[:8])
}

// downloads get much back.
type downloads struct{ size int }

func (downloads) method() string { return downloadMethod }

func (d downloads) request(buf []byte, seq uint64) []byte {
	binary.LittleEndian.PutUint64(buf, uint64(d.size))
	binary.LittleEndian.PutUint64(buf[8:], seq)
	return buf[:16]
}

func (d downloads) right(_, reply []byte, seq uint64) bool {
	return samePages(reply, pattern(seq, d.size))
}
