package service

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// MaxDownload bounds one download, in bytes, as the pattern is kept.
const MaxDownload = 256 << 20

// Castagnoli is the polynomial of all digests.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Server is what a server tells of itself.
type Server struct {
	measure.Usage
	// Retransmits counts packets sent again.
	Retransmits uint64 `json:"retransmits"`
	// PinnedTo is the CPU that the server's first loop is pinned to, or -1.
	PinnedTo int `json:"pinned_to"`
}

// Register adds the methods to an endpoint whose first loop is pinned to a CPU,
// or to none if pinnedTo is -1.
func Register(e *peregrine.Endpoint, pinnedTo int) {
	e.Handle(Echo, func(r peregrine.Request) { r.Reply(r.Data()) })
	e.HandleStream(Echo, echoStream)
	e.Handle(Upload, upload)
	e.Handle(Download, download)
	e.Handle(Digest, digest)
	e.Handle(Statistics, func(r peregrine.Request) {
		st := e.Stats()
		text, err := json.Marshal(Server{
			Usage: measure.UsageNow(st.Transport), Retransmits: st.Retransmits, PinnedTo: pinnedTo,
		})
		if err != nil {
			r.Fail(peregrine.Internal, err.Error())
			return
		}
		r.Reply(text)
	})
}

func echoStream(s *peregrine.Stream) error {
	var buf []byte
	for {
		message, err := s.Recv(buf[:0])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = s.Send(message)
		}
		if err != nil {
			return err
		}
		buf = message
	}
}

func upload(r peregrine.Request) {
	var reply [16]byte
	binary.LittleEndian.PutUint64(reply[:], uint64(len(r.Data())))
	copy(reply[8:], r.Data())
	r.Reply(reply[:])
}

func digest(r peregrine.Request) {
	var reply [16]byte
	binary.LittleEndian.PutUint64(reply[:], uint64(len(r.Data())))
	binary.LittleEndian.PutUint64(reply[8:], uint64(crc32.Checksum(r.Data(), Castagnoli)))
	r.Reply(reply[:])
}

func download(r peregrine.Request) {
	if len(r.Data()) != 16 {
		r.Fail(peregrine.InvalidArgument, "a download's request is a length and a seed, 8 bytes each")
		return
	}
	n, seed := binary.LittleEndian.Uint64(r.Data()), binary.LittleEndian.Uint64(r.Data()[8:])
	if n > MaxDownload {
		r.Fail(peregrine.InvalidArgument, fmt.Sprintf("a download has at most %d bytes, not %d", MaxDownload, n))
		return
	}
	r.Reply(Pattern(seed, int(n)))
}
