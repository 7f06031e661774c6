package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// world is a simulated rack, with a relay in it.
type world struct {
	*sim.Network
	t     testing.TB
	seed  uint64
	cable sim.LinkConfig
	tor   *sim.Switch
	cfg   Config

	// Of the relay: how its exits are made from ports, the ports that are left, and
	// those in use.
	exit  func(*sim.Port) transport.Transport
	free  []*sim.Port
	taken []*sim.Port
}

func newWorld(t testing.TB, seed uint64, cfg Config) *world {
	w := &world{Network: sim.New(seed), t: t, seed: seed, cfg: cfg}
	w.tor = w.Switch("tor")
	w.cable = sim.LinkConfig{Rate: 25e9, Delay: time.Microsecond, QueueBytes: 1 << 20}
	w.exit = func(p *sim.Port) transport.Transport { return p }
	if w.cfg.Idle == 0 {
		w.cfg.Idle = time.Minute
	}
	return w
}

func (w *world) add(name string) *sim.Host {
	h := w.Host(name, sim.HostConfig{})
	w.Link(h, w.tor, w.cable)
	return h
}

// relay starts one on a host of its own.
func (w *world) relay(server netip.AddrPort) *Relay {
	w.t.Helper()
	host := w.add("relay")
	inside := host.Open(1)
	for i := range w.cfg.MaxFlows + 1 {
		w.free = append(w.free, host.Open(uint16(1000+i)))
	}
	w.cfg.Server = server
	r, err := New(w.cfg, inside, func() (transport.Transport, error) {
		if len(w.free) == 0 {
			return nil, errors.New("there is no port left")
		}
		p := w.free[0]
		w.free = w.free[1:]
		w.taken = append(w.taken, p)
		return w.exit(p), nil
	})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, r.Close()) })
	host.Run(r, slices.Concat([]*sim.Port{inside}, w.free, w.taken)...)
	return r
}

// settle lets what was sent arrive.
func (w *world) settle() { w.Run(time.Millisecond) }

// raw is a host that sends and receives by hand.
type raw struct {
	*sim.Port
	t testing.TB
}

func (w *world) raw(name string) raw { return raw{w.add(name).Open(1), w.t} }

func (r raw) send(to netip.AddrPort, data []byte) { r.mark(to, data, transport.NotECT) }

func (r raw) mark(to netip.AddrPort, data []byte, ecn transport.ECN) {
	r.t.Helper()
	route, err := r.Resolve(to, netip.Addr{})
	require.NoError(r.t, err)
	defer r.Forget(route)
	p := []transport.TxPacket{{Route: route, ECN: ecn}}
	require.Equal(r.t, 1, r.Reserve(p))
	p[0].Head = p[0].Head[:copy(p[0].Head, data)]
	n, err := r.Send(p)
	require.NoError(r.t, err)
	require.Equal(r.t, 1, n)
}

// take returns the datagram that has arrived; nil if there is none.
func (r raw) take() (netip.AddrPort, []byte) {
	from, data, _ := r.takeMarked()
	return from, data
}

func (r raw) takeMarked() (from netip.AddrPort, data []byte, ecn transport.ECN) {
	r.t.Helper()
	rx := make([]transport.RxPacket, 1)
	n, err := r.Recv(rx)
	require.NoError(r.t, err)
	if n == 0 {
		return from, nil, ecn
	}
	defer r.Release(rx)
	return rx[0].From, append([]byte{}, rx[0].Data...), rx[0].ECN
}

// engine is a host with an endpoint.
type engine struct {
	*core.Endpoint
	w    *world
	host *sim.Host
	port *sim.Port
}

func (w *world) engine(name string) *engine {
	e := &engine{w: w, host: w.add(name)}
	e.start()
	return e
}

func (e *engine) start() {
	var cfg core.Config
	e.w.seed++
	binary.LittleEndian.PutUint64(cfg.Seed[:], e.w.seed)
	e.port = e.host.Open(1)
	var err error
	e.Endpoint, err = core.New(cfg, e.port, e.w.Now())
	require.NoError(e.w.t, err)
	e.Handle(1, func(r *core.Request) { r.Reply(r.Data) })
	e.host.Run(e.Endpoint, e.port)
}

// session dials through the relay.
func (e *engine) session(r *Relay) *core.Session {
	e.w.t.Helper()
	e.Advance(e.w.Now())
	s, err := e.Connect(r.Addr())
	require.NoError(e.w.t, err)
	e.host.Kick()
	return s
}

// echo makes one call, and returns its error.
func (e *engine) echo(s *core.Session, size int) (err error) {
	e.w.t.Helper()
	done := false
	request := slices.Repeat([]byte(fmt.Sprintf("%d ", size)), size/3+1)[:size]
	call := &core.Call{Method: 1, Request: request, Done: func(c *core.Call) {
		done, err = true, c.Err
		if err == nil {
			require.Equal(e.w.t, request, c.Response)
		}
	}}
	e.Advance(e.w.Now())
	s.Submit(call)
	e.host.Kick()
	require.NoError(e.w.t, e.w.Until(time.Minute, func() bool { return done }))
	return err
}

// narrow is a transport whose link carries less than it says elsewhere.
type narrow struct {
	transport.Transport
	most int
}

func (n narrow) Caps() transport.Caps {
	c := n.Transport.Caps()
	c.MaxPayload = n.most
	return c
}
