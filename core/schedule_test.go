package core

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// world is a server and two clients to whom anything may happen.
type world struct {
	*network
	server   *node
	clients  []*node
	sessions []*worldSession
	calls    []*worldCall
	deferred []*Request
	// executed counts executions by incarnation of the server and call.
	executed    map[[2]int]int
	incarnation int
}

type worldSession struct {
	*Session
	client *node
	closed bool
}

type worldCall struct {
	Call
	id       int
	session  *worldSession
	done     int
	orphaned bool // its client was killed
}

func newWorld(t tester, seed uint64) *world {
	w := &world{network: newNetwork(t, seed), executed: map[[2]int]int{}}
	w.server = w.add(Config{})
	w.serve()
	for range 2 {
		w.clients = append(w.clients, w.add(worldConfig))
	}
	return w
}

// worldConfig is small, so that its bounds are reached, save for the sessions:
// those that are refused are the one thing a server does not remember.
var worldConfig = Config{Slots: 3, Queue: 5, Sessions: 200, Requests: 10, Credits: 16, MaxMessage: 40_000, ReassemblyMemory: 100_000,
	KeepAlive: 200 * time.Millisecond, ConnectTimeout: 100 * time.Millisecond}

// serve starts a new incarnation of the server.
func (w *world) serve() {
	w.deferred = nil
	w.incarnation++
	w.server.restart(worldConfig)
	now := w.incarnation
	note := func(r *Request) {
		w.executed[[2]int{now, int(binary.LittleEndian.Uint32(r.Data))}]++
	}
	w.server.Handle(echo, func(r *Request) {
		note(r)
		r.Reply(r.Data)
	})
	w.server.Handle(later, func(r *Request) {
		note(r)
		r.Defer()
		w.deferred = append(w.deferred, r)
	})
}

func (w *world) submit(s *worldSession, method uint16, size int, timeout time.Duration) {
	c := &worldCall{id: len(w.calls), session: s}
	request := pattern(max(4, size), byte(c.id))
	binary.LittleEndian.PutUint32(request, uint32(c.id))
	want := bytes.Clone(request)
	c.Call = Call{Method: method, Request: request, Timeout: timeout, Done: func(*Call) {
		c.done++
		require.Equal(w.t, 1, c.done, "call %d completed again", c.id)
		require.False(w.t, c.orphaned, "a dead client's call completed")
		if c.Err == nil {
			require.True(w.t, bytes.Equal(want, c.Response), "call %d: wrong reply", c.id)
		}
		scrawl(request)
	}}
	if c.id%2 == 0 {
		c.Buf = make([]byte, 0, 5000)
	}
	w.calls = append(w.calls, c)
	s.Submit(&c.Call)
}

// answer answers one of the deferred requests.
func (w *world) answer(which int) {
	if len(w.deferred) == 0 {
		return
	}
	i := which % len(w.deferred)
	r := w.deferred[i]
	w.deferred = append(w.deferred[:i], w.deferred[i+1:]...)
	r.Reply(r.Data)
}

// killClient restarts a client without a word.
func (w *world) killClient(d *node) {
	for _, c := range w.calls {
		if c.session.client == d && c.done == 0 {
			c.orphaned = true
		}
	}
	for _, s := range w.sessions {
		s.closed = s.closed || s.client == d
	}
	d.restart(worldConfig)
}

func (w *world) settleDown() {
	w.drop, w.duplicate, w.jitter = nil, 0, 0
	for range 200 {
		for len(w.deferred) > 0 {
			w.answer(0)
		}
		w.run(20 * time.Millisecond)
	}
	for _, c := range w.calls {
		if !c.orphaned {
			require.Equal(w.t, 1, c.done, "call %d, method %d, never completed", c.id, c.Method)
		}
		total := 0
		for i := 1; i <= w.incarnation; i++ {
			times := w.executed[[2]int{i, c.id}]
			require.LessOrEqual(w.t, times, 1, "call %d executed twice", c.id)
			total += times
		}
		require.LessOrEqual(w.t, total, 1, "a call is not made again to a restarted server")
		if c.orphaned {
			continue
		}
		if c.Err == nil {
			require.Equal(w.t, 1, total)
		} else if !failure(w.t, &c.Call).MayHaveExecuted {
			require.Zero(w.t, total, "call %d executed though it says not: %v", c.id, c.Err)
		}
	}
	for _, d := range append(w.clients, w.server) {
		st := d.Stats()
		require.Zero(w.t, st.RequestsHeld)
		require.Zero(w.t, st.ReassemblyBytes)
		w.until(func() bool { return d.controlling == 0 }) // but for a keepalive
		require.Empty(w.t, d.parked)
		require.Empty(w.t, d.failed)
		require.Zero(w.t, d.burst.ready-d.burst.sent)
		require.True(w.t, d.Drained())
		for _, timer := range d.timers.heap {
			require.IsType(w.t, &peer{}, timer.owner)
		}
	}
	// Quiet: nothing but keepalives.
	sent := w.datagram
	w.run(time.Second)
	require.LessOrEqual(w.t, w.datagram-sent, len(w.clients)*(5*keepAlivesPerTimeout+1)*2)

	// And all still works.
	for _, s := range w.sessions {
		if !s.closed {
			done := len(w.calls)
			w.submit(s, echo, 100, 0)
			w.until(func() bool { return w.calls[done].done == 1 })
			require.NoError(w.t, w.calls[done].Err)
		}
	}
}

func TestRandomSchedules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"))
		w.server.linger = rapid.SampledFrom([]time.Duration{0, 100 * time.Microsecond}).Draw(t, "server lingers")
		for _, d := range w.clients {
			d.linger = w.server.linger
		}
		draw := func(name string, n int) int { return rapid.IntRange(0, n-1).Draw(t, name) }
		for range rapid.IntRange(10, 150).Draw(t, "steps") {
			var s *worldSession
			if len(w.sessions) > 0 {
				s = w.sessions[draw("session", len(w.sessions))]
			}
			switch what := draw("what", 24); {
			case what < 2 || s == nil:
				d := w.clients[draw("client", len(w.clients))]
				session, err := d.Connect(w.server.addr)
				require.NoError(t, err)
				w.sessions = append(w.sessions, &worldSession{Session: session, client: d})
			case what < 12:
				if s.peer.ep != s.client.Endpoint {
					continue // of a client that was killed
				}
				w.submit(s, uint16(echo+draw("method", 2)*(later-echo)), []int{4, 500, 1300, 4000, 41_000, 20_000}[draw("size", 6)],
					[]time.Duration{0, 0, 300 * time.Microsecond, 5 * time.Millisecond}[draw("timeout", 4)])
			case what < 14:
				if len(w.calls) > 0 {
					if c := w.calls[draw("call", len(w.calls))]; !c.orphaned {
						c.session.Cancel(&c.Call)
					}
				}
			case what < 17:
				w.answer(draw("request", 100))
			case what == 17:
				if s.peer.ep == s.client.Endpoint {
					s.Close()
					s.closed = true
				}
			case what == 18:
				switch draw("fault", 4) {
				case 0:
					w.partition()
				case 1:
					w.loss(0.2)
				default:
					w.heal()
				}
				w.duplicate = []float64{0, 0.3}[draw("duplicate", 2)]
				w.jitter = []time.Duration{0, 100 * time.Microsecond}[draw("jitter", 2)]
			case what == 19 && draw("restart", 3) == 0:
				if draw("whom", 2) == 0 {
					w.serve()
				} else {
					w.killClient(w.clients[draw("client", len(w.clients))])
				}
			case what == 20:
				w.run(time.Duration(draw("for ms", 400)) * time.Millisecond)
			default:
				w.run(time.Duration(draw("for us", 200)) * time.Microsecond)
			}
		}
		w.settleDown()
	})
}
