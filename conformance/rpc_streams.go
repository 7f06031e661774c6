package conformance

import (
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// streamStories: messages of streams arrive once and in order, and streams end.
func streamStories(tell tell) {
	tell("StreamsBringTheirMessagesInOrder", func(s *stage) {
		service := s.serveStreams(setup{Config: core.Config{StreamWindow: 8 << 10}})
		client := s.start(Near, setup{faults: transport.Faults{Loss: 0.02, Duplicate: 0.02, Reorder: 0.05}})
		session := client.connect(service.addr())
		var all []*talk
		for range 8 {
			t := client.talk(session)
			for range 60 {
				t.lengths = append(t.lengths, s.streamLength())
			}
			all = append(all, t)
		}
		client.do(func() {
			for _, t := range all {
				session.Open(&t.Stream)
				t.Receive()
				t.say()
			}
		})
		for _, t := range all {
			if err := t.wait(); err != nil {
				s.Fatalf("a stream ended with %v", err)
			}
			if t.heard != len(t.lengths) {
				s.Fatalf("of %d messages %d came back", len(t.lengths), t.heard)
			}
			if string(t.Trailer) != "bye" {
				s.Fatalf("the trailer is %q", t.Trailer)
			}
		}
		client.heals()
		client.idle()
		service.idle()
	})

	tell("AStreamThatIsNotReadStopsNoOther", func(s *stage) {
		service := s.serveStreams(setup{})
		client := s.start(Near, setup{})
		session := client.connect(service.addr())
		stuck, good := client.talk(session), client.talk(session)
		for range 1000 {
			stuck.lengths = append(stuck.lengths, 5000)
			good.lengths = append(good.lengths, 5000)
		}
		stuck.Method = ignore
		client.do(func() {
			for _, t := range []*talk{stuck, good} {
				session.Open(&t.Stream)
				t.Receive()
				t.say()
			}
		})
		if err := good.wait(); err != nil || good.heard != len(good.lengths) {
			s.Fatalf("a stream beside one that is not read ended with %v, after %d messages", err, good.heard)
		}
		client.echoes(session, 1000)
		client.do(func() {
			if stuck.said == len(stuck.lengths) {
				s.Errorf("5 MB were taken from a stream that nobody reads")
			}
			stuck.Reset(core.Canceled, "nobody reads it")
		})
		if err := stuck.wait(); core.CodeOf(err) != core.Canceled {
			s.Errorf("a stream that was canceled ended with %v", err)
		}
		client.idle()
		service.idle()
	})
}

// streamLength is that of one message: most are short, some are of several datagrams, or
// of many.
func (s *stage) streamLength() int {
	switch n := s.rand.IntN(20); {
	case n < 14:
		return s.rand.IntN(200)
	case n < 19:
		return s.rand.IntN(20_000)
	}
	return s.rand.IntN(200_000)
}

// talk is a client's stream, which says messages of some lengths and hears them come back.
type talk struct {
	core.Stream
	host        *host
	seed        uint64
	lengths     []int
	said, heard int
	waits       bool
	ended       chan struct{}
}

func (h *host) talk(session *core.Session) *talk {
	t := &talk{host: h, seed: h.s.rand.Uint64() >> 32, ended: make(chan struct{})}
	t.Method, t.User = echo, t
	return t
}

// say sends what may be sent, on the loop.
func (t *talk) say() {
	for !t.waits && t.said < len(t.lengths) {
		more, err := t.Send(patternOf(t.seed+uint64(t.said), t.lengths[t.said]))
		if err != nil {
			t.host.wrong("a message was not sent: %v", err)
			return
		}
		t.said++
		t.waits = !more
	}
	if t.said == len(t.lengths) {
		t.CloseSend()
	}
}

func (t *talk) Opened(*core.Stream, []byte) {}
func (t *talk) Closed(*core.Stream)         {}
func (t *talk) Ended(*core.Stream)          { close(t.ended) }

func (t *talk) Sent(*core.Stream) {
	t.waits = false
	t.say()
}

func (t *talk) Received(_ *core.Stream, message []byte) {
	if t.heard == len(t.lengths) || len(message) != t.lengths[t.heard] || !filled(message, t.seed+uint64(t.heard)) {
		t.host.wrong("message %d of a stream is another one, of %d bytes", t.heard, len(message))
	}
	t.heard++
	t.Receive()
}

// wait returns how the stream ended.
func (t *talk) wait() error {
	select {
	case <-t.ended:
	case <-time.After(patience):
		t.host.s.Fatalf("a stream did not end in %v\n%+v", patience, t.host.stats())
	}
	return t.Err
}

// serveStreams starts a service whose streams of echo say what they hear, and those of
// ignore hear nothing.
func (s *stage) serveStreams(o setup) *service {
	v := s.serve(Far, o)
	v.do(func() {
		v.engine.HandleStream(echo, func(st *core.Stream) {
			st.User = &parrot{host: v.host}
			st.Receive()
		})
		v.engine.HandleStream(ignore, func(st *core.Stream) { st.User = &parrot{host: v.host} })
	})
	return v
}

// parrot is the server's end of a stream.
type parrot struct {
	host   *host
	waits  bool
	closed bool
}

func (p *parrot) Opened(*core.Stream, []byte) {}
func (p *parrot) Ended(*core.Stream)          {}

func (p *parrot) Received(st *core.Stream, message []byte) {
	more, err := st.Send(append([]byte(nil), message...))
	if err != nil {
		st.Reset(core.Internal, fmt.Sprint(err))
		return
	}
	if p.waits = !more; more {
		p.next(st)
	}
}

func (p *parrot) Sent(st *core.Stream) {
	p.waits = false
	p.next(st)
}

func (p *parrot) Closed(st *core.Stream) {
	p.closed = true
	p.next(st)
}

// next goes on once the last message has been said.
func (p *parrot) next(st *core.Stream) {
	switch {
	case p.waits:
	case p.closed:
		st.End(core.OK, "", []byte("bye"))
	default:
		st.Receive()
	}
}
