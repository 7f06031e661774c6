package reference_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/reference"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// flow is an end of a stream of either implementation.
type flow interface {
	send(message []byte)
	// finish ends it behind what was sent; a client only says that it sends no more.
	finish(code uint8, text string, trailer []byte)
	reset(code uint8)
}

// play is what is done with a stream, by both of its ends.
type play struct {
	w        *world
	id       uint32
	plot     plot
	messages int

	client, server  flow
	opened, closed  bool // as the client, and the server, were told
	heard, echoed   int  // messages, at the server and the client
	over, handlings int
	orphan          bool // the server's end is not over
}

// plot is how a stream ends.
type plot uint32

const (
	inOrder     plot = iota // the server ends it behind the client
	early                   // the server ends it while the client has more to say
	resetByThem             // the server resets it
	resetByUs               // the client resets it
	outOfTime               // nobody ends it before the client's deadline
	ofNoMethod              // nobody serves it
	headed                  // in order, and the server sends a header first
	plots
)

// enough is behind how many messages a stream ends early.
const enough = 3

// message is the nth of a stream.
func (p *play) message(n int) []byte {
	seed := uint64(p.id)<<32 | uint64(n)
	return pattern(seed, []int{0, 7, 100, 1300, 600, 17_000, 3000}[seed%7])
}

func (p *play) header() []byte {
	return pattern(uint64(p.id), 8+[]int{0, 100, 3000}[p.id%3])
}

// begin is the client's part.
func (p *play) begin(client flow) {
	p.client = client
	for n := range p.messages {
		client.send(p.message(n))
	}
	if p.plot == inOrder || p.plot == headed {
		client.finish(0, "", nil)
	}
}

// handle is the beginning of the server's.
func (p *play) handle(server flow, header []byte) {
	require.Equal(p.w.t, p.header(), header)
	p.server, p.orphan = server, true
	p.handlings++
}

// hear is a message at the server, which is sent back.
func (p *play) hear(message []byte) {
	if p.heard >= enough && p.plot == early {
		return // under way as it ended
	}
	require.True(p.w.t, bytes.Equal(p.message(p.heard), message), "stream %d: message %d", p.id, p.heard)
	p.heard++
	p.server.send(message)
	switch {
	case p.heard == enough && p.plot == early:
		p.server.finish(5, "enough", []byte("early"))
	case p.heard == enough && p.plot == resetByThem:
		p.server.reset(10)
	}
}

// closes is the end of what the client sends.
func (p *play) closes() {
	require.Equal(p.w.t, p.messages, p.heard, "stream %d", p.id)
	p.closed = true
	p.server.finish(0, "", []byte{byte(p.id)})
}

// echo is a message at the client.
func (p *play) echo(message []byte) {
	require.True(p.w.t, bytes.Equal(p.message(p.echoed), message), "stream %d: echo %d", p.id, p.echoed)
	p.echoed++
	if p.echoed == enough && p.plot == resetByUs {
		p.client.reset(1)
	}
}

// open is the server's header at the client.
func (p *play) open(header []byte) {
	require.Equal(p.w.t, p.header(), header)
	require.Zero(p.w.t, p.echoed)
	p.opened = true
}

// ends is the end at the client.
func (p *play) ends(code uint8, text string, trailer []byte) {
	t := p.w.t
	p.over++
	require.Equal(t, 1, p.over, "stream %d", p.id)
	require.Equal(t, []uint8{0, 5, 10, 1, 4, 12, 0}[p.plot], code, "stream %d: %s", p.id, text)
	switch p.plot {
	case inOrder, headed:
		require.Equal(t, p.messages, p.echoed)
		require.Equal(t, []byte{byte(p.id)}, trailer)
		require.Equal(t, p.plot == headed, p.opened)
	case early:
		require.Equal(t, enough, p.echoed)
		require.Equal(t, "enough", text)
		require.Equal(t, "early", string(trailer))
	case ofNoMethod:
		require.Zero(t, p.handlings)
	}
}

// leaves is the end at the server.
func (p *play) leaves(code uint8) {
	p.orphan = false
	if p.over == 1 && code == 1 {
		return // the client used the index again before it acknowledged the end
	}
	require.Equal(p.w.t, []uint8{0, 0, 10, 1, 4, 0, 0}[p.plot], code, "stream %d", p.id)
}

// paper is an end of the document's implementation.
type paper struct{ *reference.Stream }

func (s paper) send(message []byte) { s.Send(message) }
func (s paper) reset(code uint8)    { s.Reset(code, "not wanted") }

// paperServer is one that ends with a status.
type paperServer struct{ paper }

func (s paperServer) finish(code uint8, text string, trailer []byte) { s.End(code, text, trailer) }

// paperClient is one that ends with its messages.
type paperClient struct{ paper }

func (s paperClient) finish(uint8, string, []byte) { s.Close() }

// engine is an end of ours, which is sent one message after the other.
type engine struct {
	*core.Stream
	play   *play
	server bool
	queue  [][]byte
	busy   bool
	last   func()
}

func (s *engine) send(message []byte) {
	s.queue = append(s.queue, bytes.Clone(message))
	s.pump()
}

func (s *engine) finish(code uint8, text string, trailer []byte) {
	s.last = func() { s.End(core.Code(code), text, trailer) }
	if !s.server {
		s.last = s.CloseSend
	}
	s.pump()
}

func (s *engine) reset(code uint8) { s.Reset(core.Code(code), "not wanted") }

func (s *engine) pump() {
	for !s.busy && len(s.queue) > 0 && s.Writable() {
		more, err := s.Send(s.queue[0])
		require.NoError(s.play.w.t, err)
		s.queue, s.busy = s.queue[1:], !more
	}
	if !s.busy && len(s.queue) == 0 && s.last != nil {
		s.last()
		s.last = nil
	}
}

func (s *engine) Opened(_ *core.Stream, header []byte) { s.play.open(header) }
func (s *engine) Closed(*core.Stream)                  { s.play.closes() }

func (s *engine) Received(_ *core.Stream, message []byte) {
	if s.server {
		s.play.hear(message)
	} else {
		s.play.echo(message)
	}
	s.Receive()
}

func (s *engine) Sent(*core.Stream) {
	s.busy = false
	s.pump()
}

func (s *engine) Ended(*core.Stream) {
	code, text := uint8(0), ""
	if failure, failed := s.Err.(*core.Error); failed {
		code, text = uint8(failure.Code), failure.Message
	}
	if s.server {
		s.play.leaves(code)
	} else {
		s.play.ends(code, text, s.Trailer)
	}
}

// plays are the streams of a world.
type plays []*play

// of is the one of a header, which begins with its number.
func (all plays) of(header []byte) *play {
	for _, p := range all {
		if bytes.Equal(header[:8], p.header()[:8]) {
			return p
		}
	}
	return nil
}

const streamed = 9

// method is streamed, or one that there is not.
func (p *play) method() uint16 {
	if p.plot == ofNoMethod {
		return streamed + 1
	}
	return streamed
}

func (p *play) timeout() time.Duration {
	if p.plot == outOfTime {
		return 300 * time.Millisecond
	}
	return 0
}

// referenceStreams has the document's implementation serve streams.
func (w *world) referenceStreams(cfg *reference.Config, all *plays) {
	cfg.Stream = func(s *reference.Stream) bool {
		if s.Method != streamed {
			return false
		}
		p := all.of(s.Header)
		s.Received, s.Closed = p.hear, p.closes
		s.Ended = func(code uint8, _ string, _ []byte) { p.leaves(code) }
		p.handle(paperServer{paper{s}}, s.Header)
		if p.plot == headed {
			s.SendHeader(s.Header)
		}
		return true
	}
}

// engineStreams has the engine do so.
func (w *world) engineStreams(e *core.Endpoint, all *plays) {
	e.HandleStream(streamed, func(s *core.Stream) {
		p := all.of(s.Header)
		end := &engine{Stream: s, play: p, server: true}
		s.User = end
		p.handle(end, s.Header)
		if p.plot == headed {
			require.NoError(w.t, s.SendHeader(s.Header))
		}
		s.Receive()
	})
}

// opener opens the stream of a play.
type opener func(*play)

// referenceOpener is a client of the document's.
func (w *world) referenceOpener(cfg reference.Config) opener {
	port := w.client.Open(2)
	e := reference.New(cfg)
	w.client.Run(&runner{Endpoint: e, port: port, route: map[netip.AddrPort]transport.Route{}}, port)
	k := e.Connect(w.addr())
	return func(p *play) {
		s := &reference.Stream{Method: p.method(), Header: p.header(), Timeout: p.timeout()}
		s.Opened, s.Received, s.Ended = p.open, p.echo, p.ends
		k.Open(w.Now(), s)
		p.begin(paperClient{paper{s}})
	}
}

// engineOpener is one of ours.
func (w *world) engineOpener(cfg core.Config) opener {
	port := w.client.Open(2)
	cfg.Seed[0] = 2
	e, err := core.New(cfg, port, w.Now())
	require.NoError(w.t, err)
	w.client.Run(e, port)
	session, err := e.Connect(w.addr())
	require.NoError(w.t, err)
	return func(p *play) {
		e.Advance(w.Now())
		end := &engine{play: p}
		end.Stream = &core.Stream{Method: p.method(), Header: p.header(), Timeout: p.timeout(), User: end}
		session.Open(end.Stream)
		end.Receive()
		p.begin(end)
	}
}

// perform has streams of all plots be opened at once, and waits for both their ends.
func (w *world) perform(all *plays, open opener) {
	for id := range 2 * plots {
		p := &play{w: w, id: binary.LittleEndian.Uint32(fmt.Appendf(nil, "%04d", id)), plot: id % plots, messages: 5 + int(id)}
		*all = append(*all, p)
		open(p)
		if id%3 == 0 {
			w.client.Kick()
			w.Run(time.Duration(w.Rand().IntN(2_000_000)))
		}
	}
	w.client.Kick()
	over := func() bool {
		for _, p := range *all {
			if p.over == 0 || p.orphan {
				return false
			}
		}
		return true
	}
	if err := w.Until(time.Minute, over); err != nil {
		for _, p := range *all {
			w.t.Logf("stream of plot %d: heard %d, echoed %d of %d, over %d, at the server %v", p.plot, p.heard, p.echoed, p.messages, p.over, p.orphan)
		}
		require.NoError(w.t, err)
	}
	for _, p := range *all {
		require.LessOrEqual(w.t, p.handlings, 1)
		require.Equal(w.t, p.plot == inOrder || p.plot == headed, p.closed)
	}
}

func TestTheEngineUnderstandsStreamsOfAClientOfTheDocument(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, seed uint64, faults sim.Faults) {
		w, all := newWorld(t, seed, faults), plays{}
		w.engineStreams(w.engineServer(core.Config{Checksum: seed%2 == 1, StreamWindow: 4 << 10 << seed}), &all)
		w.perform(&all, w.referenceOpener(reference.Config{Seed: seed, Streams: 5 + uint16(seed), StreamWindow: 1 << seed}))
	})
}

func TestTheEngineUnderstandsStreamsOfAServerOfTheDocument(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, seed uint64, faults sim.Faults) {
		w, all := newWorld(t, seed, faults), plays{}
		cfg := reference.Config{Seed: seed, Checksum: seed%2 == 1, Streams: 20, StreamWindow: 1 << seed, Credits: uint16(4 + 30*seed)}
		w.referenceStreams(&cfg, &all)
		w.referenceServer(cfg)
		w.perform(&all, w.engineOpener(core.Config{StreamWindow: 4 << 10 << seed}))
	})
}

func TestTheDocumentIsEnoughForStreams(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, seed uint64, faults sim.Faults) {
		w, all := newWorld(t, seed, faults), plays{}
		cfg := reference.Config{Seed: seed, Checksum: seed%2 == 1, Streams: 20}
		w.referenceStreams(&cfg, &all)
		w.referenceServer(cfg)
		w.perform(&all, w.referenceOpener(reference.Config{Seed: seed, Streams: 3}))
	})
}
