package conform

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/reference"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// world is the engine and the peer that checks it, in virtual time.
type world struct {
	*sim.Network
	t       *testing.T
	tested  *sim.Host
	checker *sim.Host
	// out and in are the ways from and to the engine, that tests break.
	out, in  *sim.Pipe
	ports    uint16
	mistaken int // calls that ended with another reply than theirs
}

func newWorld(t *testing.T) *world {
	w := &world{Network: sim.New(1), t: t}
	w.tested, w.checker = w.Host("tested", sim.HostConfig{}), w.Host("checker", sim.HostConfig{})
	cable := w.Link(w.tested, w.checker, sim.LinkConfig{Delay: 20 * time.Microsecond, MTU: 1500})
	w.out, w.in = cable.Toward(w.checker), cable.Toward(w.tested)
	return w
}

// line opens a port of the checker's.
func (w *world) line() *simLine {
	w.ports++
	return &simLine{w: w, port: w.checker.Open(w.ports), to: netip.AddrPortFrom(w.tested.Addr(), 1)}
}

// simLine is a Line of the simulator.
type simLine struct {
	w    *world
	port *sim.Port
	to   netip.AddrPort // the last that was heard of
}

func (l *simLine) Now() time.Duration { return l.w.Now() }
func (l *simLine) Close() error       { return l.port.Close() }

func (l *simLine) Send(data []byte) error {
	tx := make([]transport.TxPacket, 1)
	if l.port.Reserve(tx) == 0 {
		return errors.New("no room to send")
	}
	route, err := l.port.Resolve(l.to, netip.Addr{})
	if err != nil {
		return err
	}
	tx[0].Route, tx[0].Head = route, tx[0].Head[:copy(tx[0].Head, data)]
	_, err = l.port.Send(tx)
	return err
}

func (l *simLine) Receive(within time.Duration) ([]byte, error) {
	var data []byte
	until, over := l.w.Now()+within, false
	l.w.At(until, func() { over = true })
	err := l.w.Until(within+time.Second, func() bool {
		rx := make([]transport.RxPacket, 1)
		n, err := l.port.Recv(rx)
		require.NoError(l.w.t, err)
		if n == 1 {
			data, l.to = bytes.Clone(rx[0].Data), rx[0].From
			l.port.Release(rx)
		}
		return n == 1 || over
	})
	return data, err
}

// engine runs the engine as a server of echoes.
func (w *world) engine(cfg core.Config) *core.Endpoint {
	port := w.tested.Open(1)
	cfg.Seed[0] = 1
	e, err := core.New(cfg, port, w.Now())
	require.NoError(w.t, err)
	e.Handle(1, func(r *core.Request) { r.Reply(r.Data) })
	e.HandleStream(1, func(s *core.Stream) {
		s.User = echoes{}
		s.Receive()
	})
	w.tested.Run(e, port)
	return e
}

// echoes sends each message of a stream back.
type echoes struct{}

func (echoes) Opened(*core.Stream, []byte) {}
func (echoes) Sent(s *core.Stream)         { s.Receive() }
func (echoes) Closed(s *core.Stream)       { s.End(core.OK, "", nil) }
func (echoes) Ended(*core.Stream)          {}

func (echoes) Received(s *core.Stream, message []byte) {
	if more, err := s.Send(bytes.Clone(message)); more && err == nil {
		s.Receive()
	}
}

// caller runs the engine as a client that calls again and again.
func (w *world) caller(cfg core.Config, server netip.AddrPort, sizes ...int) {
	port := w.tested.Open(2)
	cfg.Seed[0] = 2
	e, err := core.New(cfg, port, w.Now())
	require.NoError(w.t, err)
	w.tested.Run(e, port)
	s, err := e.Connect(server)
	require.NoError(w.t, err)
	calls := 0
	var call func()
	call = func() {
		request := bytes.Repeat([]byte{byte(calls)}, sizes[calls%len(sizes)])
		calls++
		s.Submit(&core.Call{Method: 1, Request: request, Timeout: time.Minute, Done: func(c *core.Call) {
			if c.Err == nil && !bytes.Equal(request, c.Response) {
				w.mistaken++
			}
			if c.Err != nil { // perhaps at once, and each time
				w.At(w.Now()+time.Millisecond, func() {
					call()
					port.Wake()
				})
				return
			}
			call()
		}})
	}
	call()
}

// paper is the second implementation and the peer that checks it, in virtual time.
type paper struct {
	e     *reference.Endpoint
	now   time.Duration
	lines map[netip.AddrPort]*paperLine
	ports uint16
}

func (p *paper) line() *paperLine {
	p.ports++
	l := &paperLine{p: p, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), p.ports)}
	p.lines[l.addr] = l
	return l
}

// pump takes what the endpoint has to send to where it goes.
func (p *paper) pump() {
	for _, out := range p.e.Out(p.now) {
		if l := p.lines[out.To]; l != nil {
			l.inbox = append(l.inbox, out.Data)
		}
	}
}

type paperLine struct {
	p     *paper
	addr  netip.AddrPort
	inbox [][]byte
}

func (l *paperLine) Now() time.Duration { return l.p.now }
func (l *paperLine) Close() error       { delete(l.p.lines, l.addr); return nil }

func (l *paperLine) Send(data []byte) error {
	l.p.e.Take(l.p.now, l.addr, 0, data)
	return nil
}

func (l *paperLine) Receive(within time.Duration) ([]byte, error) {
	until := l.p.now + within
	for {
		l.p.pump()
		if len(l.inbox) > 0 {
			data := l.inbox[0]
			l.inbox = l.inbox[1:]
			return data, nil
		}
		if l.p.now >= until {
			return nil, nil
		}
		next, ok := l.p.e.Deadline()
		if !ok || next > until {
			next = until
		}
		l.p.now = max(next, l.p.now+time.Microsecond)
	}
}
