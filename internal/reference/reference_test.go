package reference_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/reference"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// runner runs an endpoint on a simulated host.
type runner struct {
	*reference.Endpoint
	port  *sim.Port
	route map[netip.AddrPort]transport.Route
	left  []reference.Packet // to be sent
}

func (r *runner) Poll(now time.Duration) (progress bool, err error) {
	rx := make([]transport.RxPacket, 16)
	n, err := r.port.Recv(rx)
	if err != nil {
		return false, err
	}
	for _, p := range rx[:n] {
		r.Take(now, p.From, uint8(p.ECN), p.Data)
	}
	r.port.Release(rx[:n])
	r.left = append(r.left, r.Out(now)...)
	sent := 0
	for ; sent < len(r.left); sent++ {
		p := r.left[sent]
		tx := make([]transport.TxPacket, 1)
		if r.port.Reserve(tx) == 0 {
			break
		}
		route, known := r.route[p.To]
		if !known {
			if route, err = r.port.Resolve(p.To, netip.Addr{}); err != nil {
				return false, err
			}
			r.route[p.To] = route
		}
		tx[0].Route, tx[0].ECN = route, transport.ECN(p.ECN)
		tx[0].Head = tx[0].Head[:copy(tx[0].Head, p.Data)]
		if took, err := r.port.Send(tx); err != nil || took == 0 {
			return false, fmt.Errorf("%d packets were taken: %w", took, err)
		}
	}
	r.left = r.left[sent:]
	return n+sent > 0, nil
}

func (r *runner) NextDeadline() (time.Duration, bool) { return r.Deadline() }

// side is a client or server of either implementation: what the stories need of it.
type side struct {
	host *sim.Host
	// call starts a call.
	call func(request []byte, timeout time.Duration, done func(code uint8, reply []byte, mayHaveExecuted bool))
}

// world is a client and a server, one of which is the engine, or neither.
type world struct {
	*sim.Network
	t              *testing.T
	client, server *sim.Host
	runs           map[uint64]int // of requests, by their number
	traced         map[uint64]bool
	deaf           bool // the server does not read traces
}

const method = 7

// serve is what both servers do with a request: its number, then whatever; the reply is
// its number and as many bytes as it asks for.
func (w *world) serve(request []byte) (code uint8, reply []byte) {
	number, size := binary.LittleEndian.Uint64(request), binary.LittleEndian.Uint32(request[8:])
	w.runs[number]++
	require.True(w.t, bytes.Equal(pattern(number, len(request)-12), request[12:]), "the request of call %d", number)
	if number%13 == 12 {
		return 5, []byte("no such thing")
	}
	return 0, pattern(number+1, int(size))
}

// traceOf is what a request is part of: of each third, its number and then some.
func traceOf(request []byte) (t core.Trace, is bool) {
	number := binary.LittleEndian.Uint64(request)
	copy(t.TraceID[:], "a trace, of some")
	binary.LittleEndian.PutUint64(t.SpanID[:], number+1)
	t.Flags = uint8(number)
	return t, number%3 == 0
}

// isTraced takes in the trace of a request.
func (w *world) isTraced(span []byte) { w.traced[binary.LittleEndian.Uint64(span)-1] = true }

func pattern(number uint64, size int) []byte {
	return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, number*0x9E3779B97F4A7C15), size/8+1)[:size]
}

func newWorld(t *testing.T, seed uint64, faults sim.Faults) *world {
	w := &world{Network: sim.New(seed), t: t, runs: map[uint64]int{}, traced: map[uint64]bool{}}
	w.client, w.server = w.Host("client", sim.HostConfig{}), w.Host("server", sim.HostConfig{})
	cable := w.Link(w.client, w.server, sim.LinkConfig{Rate: 1e9, Delay: 50 * time.Microsecond, QueueBytes: 1 << 20, MarkBytes: 20 << 10})
	cable.Toward(w.client).SetFaults(faults)
	cable.Toward(w.server).SetFaults(faults)
	return w
}

// addr is where the server listens.
func (w *world) addr() netip.AddrPort { return netip.AddrPortFrom(w.server.Addr(), 1) }

func (w *world) referenceServer(cfg reference.Config) {
	cfg.Handler = func(_ uint16, request []byte) (uint8, []byte) { return w.serve(request) }
	if w.deaf = cfg.Seed%2 == 1; !w.deaf {
		cfg.Traced = func(_ uint16, trace []byte) {
			require.Len(w.t, trace, 25)
			require.Equal(w.t, "a trace, of some", string(trace[:16]))
			w.isTraced(trace[16:24])
		}
	}
	port := w.server.Open(1)
	w.server.Run(&runner{Endpoint: reference.New(cfg), port: port, route: map[netip.AddrPort]transport.Route{}}, port)
}

func (w *world) engineServer(cfg core.Config) *core.Endpoint {
	port := w.server.Open(1)
	cfg.Seed[0] = 1
	e, err := core.New(cfg, port, w.Now())
	require.NoError(w.t, err)
	e.Handle(method, func(r *core.Request) {
		if trace := r.Trace(); trace.IsValid() {
			expected, _ := traceOf(r.Data)
			require.Equal(w.t, expected, trace)
			w.isTraced(trace.SpanID[:])
		}
		if code, reply := w.serve(r.Data); code == 0 {
			r.Reply(reply)
		} else {
			r.Fail(core.Code(code), string(reply))
		}
	})
	w.server.Run(e, port)
	return e
}

func (w *world) referenceClient(cfg reference.Config) *side {
	port := w.client.Open(2)
	e := reference.New(cfg)
	w.client.Run(&runner{Endpoint: e, port: port, route: map[netip.AddrPort]transport.Route{}}, port)
	k := e.Connect(w.addr())
	return &side{w.client, func(request []byte, timeout time.Duration, done func(uint8, []byte, bool)) {
		c := &reference.Call{Method: method, Request: request, Timeout: timeout, Done: done}
		if trace, is := traceOf(request); is {
			c.Trace = slices.Concat(trace.TraceID[:], trace.SpanID[:], []byte{trace.Flags})
		}
		k.Call(w.Now(), c)
	}}
}

func (w *world) engineClient(cfg core.Config) *side {
	port := w.client.Open(2)
	cfg.Seed[0] = 2
	e, err := core.New(cfg, port, w.Now())
	require.NoError(w.t, err)
	w.client.Run(e, port)
	s, err := e.Connect(w.addr())
	require.NoError(w.t, err)
	return &side{w.client, func(request []byte, timeout time.Duration, done func(uint8, []byte, bool)) {
		e.Advance(w.Now())
		var trace *core.Trace
		if t, is := traceOf(request); is {
			trace = &t
		}
		s.Submit(&core.Call{Method: method, Request: request, Timeout: timeout, Trace: trace, Done: func(c *core.Call) {
			failure, failed := c.Err.(*core.Error)
			if !failed {
				done(0, c.Response, true)
				return
			}
			done(uint8(failure.Code), []byte(failure.Message), failure.MayHaveExecuted)
		}})
	}}
}

// converse makes calls of all sizes and checks each reply, and that nothing ran twice.
func (w *world) converse(client *side, calls int) {
	t, random := w.t, w.Rand()
	ended := 0
	for number := range uint64(calls) {
		up, down := size(random.IntN), size(random.IntN)
		request := binary.LittleEndian.AppendUint64(nil, number)
		request = binary.LittleEndian.AppendUint32(request, uint32(down))
		request = append(request, pattern(number, up)...)
		var timeout time.Duration
		if number%7 == 3 {
			timeout = time.Duration(random.IntN(5_000_000)) + 1
		}
		client.call(request, timeout, func(code uint8, reply []byte, mayHaveExecuted bool) {
			ended++
			switch {
			case code == 0:
				require.True(t, bytes.Equal(pattern(number+1, down), reply), "the reply of call %d", number)
				require.Equal(t, 1, w.runs[number])
			case code == 5 && number%13 == 12:
				require.Equal(t, "no such thing", string(reply))
				require.Equal(t, 1, w.runs[number])
			default:
				require.NotZero(t, timeout, "call %d failed with code %d: %s", number, code, reply)
				require.EqualValues(t, 4, code)
				if !mayHaveExecuted {
					require.Zero(t, w.runs[number])
				}
			}
		})
		if number%5 == 0 {
			client.host.Kick()
			w.Run(time.Duration(random.IntN(1_000_000)))
		}
	}
	client.host.Kick()
	require.NoError(t, w.Until(time.Minute, func() bool { return ended == calls }), "%d of %d calls ended", ended, calls)
	for number, runs := range w.runs {
		require.Equal(t, 1, runs, "request %d", number)
		require.Equal(t, number%3 == 0 && !w.deaf, w.traced[number], "the trace of request %d", number)
	}
}

// size is small mostly, and of many packets at times.
func size(draw func(int) int) int {
	switch draw(6) {
	case 0:
		return 0
	case 1:
		return draw(60_000)
	default:
		return draw(1500)
	}
}

var networks = map[string]sim.Faults{
	"a good network":      {},
	"one that loses":      {Loss: 0.05},
	"one that reorders":   {Reorder: 0.05, ReorderDelay: 300 * time.Microsecond},
	"one that duplicates": {Duplicate: 0.1},
	"a bad one":           {Loss: 0.1, Duplicate: 0.05, Reorder: 0.1, ReorderDelay: time.Millisecond},
}

// each tells a story in all networks, with several seeds.
func each(t *testing.T, story func(t *testing.T, seed uint64, faults sim.Faults)) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for name, faults := range networks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				story(t, seed, faults)
			}
		})
	}
}

const calls = 60

func TestTheEngineUnderstandsAClientOfTheDocument(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, seed uint64, faults sim.Faults) {
		w := newWorld(t, seed, faults)
		w.engineServer(core.Config{Checksum: seed%2 == 1, Slots: int(1 + 15*(seed%3))})
		w.converse(w.referenceClient(reference.Config{Seed: seed, Stride: 512 + uint16(seed)*100}), calls)
	})
}

func TestTheEngineUnderstandsAServerOfTheDocument(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, seed uint64, faults sim.Faults) {
		w := newWorld(t, seed, faults)
		w.referenceServer(reference.Config{Seed: seed, Checksum: seed%2 == 1, Credits: uint16(4 + 30*seed), Slots: uint16(1 + 7*seed)})
		w.converse(w.engineClient(core.Config{}), calls)
	})
}

func TestTheDocumentIsEnoughForBothSides(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, seed uint64, faults sim.Faults) {
		w := newWorld(t, seed, faults)
		w.referenceServer(reference.Config{Seed: seed, Checksum: seed%2 == 1})
		w.converse(w.referenceClient(reference.Config{Seed: seed}), calls)
	})
}
