package raw

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Statistics is what a server tells of itself.
type Statistics struct {
	measure.Usage
	// PinnedTo is the CPU that the server's thread is pinned to, or -1.
	PinnedTo int `json:"pinned_to"`
	// MaxPayload and RecvBuffer are the transport's, in bytes.
	MaxPayload int `json:"max_payload"`
	RecvBuffer int `json:"recv_buffer"`
}

// A Server echoes datagrams and counts bulk ones. Run is called once; Stop may
// be called from any goroutine.
type Server struct {
	tr       transport.Transport
	spin     time.Duration
	pinnedTo int
	stopped  atomic.Bool

	tx    *burst
	peer  netip.AddrPort // of route
	route transport.Route
	flow  flow

	echoes, bulks, malformed atomic.Uint64
}

// flow counts the bulk datagrams of one run.
type flow struct {
	run       uint32
	highest   uint64
	datagrams uint64
	bytes     uint64
	pending   uint64 // since the last answer
}

// NewServer serves tr, polling for spin before it blocks. It does not close tr.
func NewServer(tr transport.Transport, spin time.Duration, pinnedTo int) *Server {
	return &Server{tr: tr, spin: spin, pinnedTo: pinnedTo, tx: newBurst(tr)}
}

// Stop makes Run return.
func (s *Server) Stop() {
	s.stopped.Store(true)
	s.tr.Wake()
}

// Counts returns how many datagrams of each sort came so far.
func (s *Server) Counts() (echoes, bulks, malformed uint64) {
	return s.echoes.Load(), s.bulks.Load(), s.malformed.Load()
}

// Run serves until Stop is called or the transport fails.
func (s *Server) Run() error {
	rx := make([]transport.RxPacket, max(batch, s.tr.Caps().RxBatch))
	idle := idler{tr: s.tr, spin: s.spin}
	for !s.stopped.Load() {
		n, err := s.tr.Recv(rx)
		if err != nil {
			return err
		}
		if n == 0 {
			if err := idle.idle(-1); err != nil && !errors.Is(err, transport.ErrClosed) {
				return err
			}
			continue
		}
		idle.busy()
		if err := s.serve(rx[:n]); err != nil {
			return err
		}
		s.tr.Release(rx[:n])
	}
	return nil
}

func (s *Server) serve(rx []transport.RxPacket) error {
	var echoes, bulks, malformed uint64
	for i := range rx {
		p := &rx[i]
		if len(p.Data) < MinEcho {
			malformed++
			continue
		}
		if p.From != s.peer && !s.turnTo(p.From) {
			continue
		}
		var err error
		switch kindOf(p.Data) {
		case echo:
			echoes++
			err = s.echo(p.Data)
		case bulk:
			if len(p.Data) < MinBulk {
				malformed++
				continue
			}
			bulks++
			err = s.count(p.Data)
		case statistics:
			err = s.tell(p.Data)
		default:
			malformed++
		}
		if err != nil {
			return err
		}
	}
	s.echoes.Add(echoes)
	s.bulks.Add(bulks)
	s.malformed.Add(malformed)
	return s.tx.flush()
}

// turnTo makes peer the one that is answered. Only the last peer's route is
// kept: a measurement has one.
func (s *Server) turnTo(peer netip.AddrPort) bool {
	route, err := s.tr.Resolve(peer, netip.Addr{})
	if err != nil {
		return false
	}
	if s.peer.IsValid() {
		s.tr.Forget(s.route)
	}
	s.peer, s.route = peer, route
	return true
}

// echo answers, or leaves that to the next try of a client that sends without an end
// and takes nothing in: each would wait for the other.
func (s *Server) echo(data []byte) error {
	p, err := s.tx.nextWithin(int(silence / full))
	if p == nil {
		return err
	}
	p.Route = s.route
	p.Head = p.Head[:copy(p.Head, data)]
	return nil
}

// count takes note of a bulk datagram and answers when one is due.
func (s *Server) count(data []byte) error {
	f := &s.flow
	if run := runOf(data); run != f.run {
		*f = flow{run: run}
	}
	f.highest = max(f.highest, sequence(data))
	f.datagrams++
	f.bytes += uint64(len(data))
	f.pending++
	if f.pending < binary.LittleEndian.Uint64(data[16:]) {
		return nil
	}
	f.pending = 0
	p, err := s.tx.next()
	if err != nil {
		return err
	}
	p.Route = s.route
	p.Head = p.Head[:answerSize]
	setHeader(p.Head, answer, f.run, f.highest)
	binary.LittleEndian.PutUint64(p.Head[16:], f.datagrams)
	binary.LittleEndian.PutUint64(p.Head[24:], f.bytes)
	return nil
}

func (s *Server) tell(data []byte) error {
	caps := s.tr.Caps()
	text, err := json.Marshal(Statistics{
		Usage: measure.UsageNow(s.tr.Stats()), PinnedTo: s.pinnedTo, MaxPayload: caps.MaxPayload, RecvBuffer: caps.RecvBuffer,
	})
	if err != nil {
		return err
	}
	p, err := s.tx.next()
	if err != nil {
		return err
	}
	p.Route = s.route
	n := copy(p.Head[:MinEcho], data)
	p.Head = p.Head[:n+copy(p.Head[n:], text)]
	return nil
}
