package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Config says what a relay does.
type Config struct {
	// Server is where datagrams of clients go.
	Server netip.AddrPort
	// MaxFlows is how many clients there may be at a time, at least 1.
	MaxFlows int
	// Idle is how long a flow stays open while nothing passes.
	Idle time.Duration
	// Spin is how long Run looks for datagrams in vain before it blocks.
	Spin time.Duration
	// Pinned says that the thread which calls Run has a CPU to itself.
	Pinned bool
}

// Relay passes datagrams between clients and a server. Poll and NextDeadline are its
// owner's, which is Run; Stats, Stop and the addresses are for any goroutine.
type Relay struct {
	cfg    Config
	inside *side
	// outside is the one transport that has all flows. Where it is nil each flow opens
	// its own, and spare is one that no flow has yet.
	outside *side
	open    func() (transport.Transport, error)
	spare   *side
	caps    transport.Caps // of the outside

	outward, inward int // how often datagrams that way are copied

	flows  flows
	active []*side       // exits that may have something
	latest *flow         // that a client used
	barred time.Duration // no flow is opened before

	rx     []transport.RxPacket
	header wire.Header
	batch  batch

	sleeper sleeper
	stopped atomic.Bool
	stats   counters
}

// batch is what was received from one side, and is to be sent by one other.
type batch struct {
	carrier carrier
	pkts    []transport.RxPacket
	routes  []transport.Route
	bytes   uint64
	refused []transport.RxPacket // to release
}

const (
	// batchSize is how many datagrams are received at a time.
	batchSize = 64
	// barPause is how long no flow is opened after one could not be.
	barPause = 10 * time.Millisecond
)

// New makes a relay between inside, where clients send to, and transports that open
// returns, which reach the server. If the first of them is a
// [transport.ApartDialer] it has all flows; else each flow has one of its own. The
// relay owns them all, also after an error, and Close closes them.
func New(cfg Config, inside transport.Transport, open func() (transport.Transport, error)) (*Relay, error) {
	r := &Relay{
		cfg: cfg, inside: newSide(inside), open: open, flows: newFlows(cfg.MaxFlows, cfg.Idle),
		rx: make([]transport.RxPacket, batchSize),
	}
	if err := r.sleeper.open(); err != nil {
		return nil, errors.Join(err, inside.Close())
	}
	if err := r.start(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Relay) start() error {
	r.sleeper.add(r.inside)
	tr, err := r.open()
	if err != nil {
		return err
	}
	first := r.exit(tr)
	r.caps, r.outward, r.inward = tr.Caps(), first.outward.copies(), first.inward.copies()
	if _, apart := tr.(transport.ApartDialer); apart {
		first.ports = make(map[uint16]*flow)
		r.outside = first
		r.list(first)
		r.sleeper.add(first)
	} else {
		r.spare = first
	}
	// It stays: so the way to the server is known when a flow needs it.
	if _, err := tr.Resolve(r.cfg.Server, netip.Addr{}); err != nil {
		return fmt.Errorf("relay: the server cannot be reached from there: %w", err)
	}
	return nil
}

// exit makes a side for a transport that reaches the server.
func (r *Relay) exit(tr transport.Transport) *side {
	s := newSide(tr)
	s.inward, s.outward = between(s, r.inside), between(r.inside, s)
	return s
}

// InsideCaps are those of the clients' side.
func (r *Relay) InsideCaps() transport.Caps { return r.inside.tr.Caps() }

// OutsideCaps are those of the server's side.
func (r *Relay) OutsideCaps() transport.Caps { return r.caps }

// Copies says how often datagrams to the server, and to clients, are copied.
func (r *Relay) Copies() (outward, inward int) { return r.outward, r.inward }

// Addr is where clients send to.
func (r *Relay) Addr() netip.AddrPort { return r.inside.tr.LocalAddr() }

// Poll passes what has arrived, once, and ends flows that were idle for too long.
// now never goes back. After an error the relay is of no more use.
func (r *Relay) Poll(now time.Duration) (progress bool, err error) {
	for f := r.flows.expired(now); f != nil; f = r.flows.expired(now) {
		r.end(f)
	}
	if progress, err = r.fromClients(now); err != nil {
		return true, err
	}
	for i := 0; i < len(r.active); i++ {
		s := r.active[i]
		n, err := r.fromServer(s, now)
		if err != nil {
			return true, err
		}
		progress = progress || n > 0
		if n == 0 && s.flow != nil && s.watched && len(s.unsent) == 0 {
			r.unlist(s) // until the kernel says that there is more
			i--
		}
	}
	return progress, nil
}

// NextDeadline is when Poll has something to do though nothing arrives.
func (r *Relay) NextDeadline() (at time.Duration, ok bool) { return r.flows.next() }

func (r *Relay) fromClients(now time.Duration) (progress bool, err error) {
	if err := r.inside.flush(); err != nil {
		return false, err
	}
	n, err := r.inside.tr.Recv(r.rx)
	if err != nil {
		return false, fmt.Errorf("relay: clients' side: %w", err)
	}
	r.hear(r.inside)
	for i := range r.rx[:n] {
		p := &r.rx[i]
		if f := r.admit(p, now); f != nil {
			err = errors.Join(err, r.queue(f.exit.outward, p, f.outward, toServer))
		} else {
			r.batch.refused = append(r.batch.refused, *p)
		}
	}
	return n > 0, errors.Join(err, r.pass(toServer, r.inside))
}

// admit returns the flow by which a client's datagram passes, or nil if it does not.
func (r *Relay) admit(p *transport.RxPacket, now time.Duration) *flow {
	if !clientsSend.pass(&r.header, p.Data) {
		r.stats.foreign.Add(1)
		return nil
	}
	c := client{p.From, p.To}
	f := r.latest
	if f == nil || f.client != c {
		if f = r.flows.byClient[c]; f == nil {
			if f = r.begin(c, now); f == nil {
				r.stats.noFlow.Add(1)
				return nil
			}
		}
		r.latest = f
	}
	if len(p.Data) > f.exit.maxPayload {
		r.stats.tooLarge.Add(1)
		return nil
	}
	r.flows.use(f, now, false)
	return f
}

// fromServer returns how many datagrams there were.
func (r *Relay) fromServer(s *side, now time.Duration) (n int, err error) {
	if err := s.flush(); err != nil {
		return 0, err
	}
	if n, err = s.tr.Recv(r.rx); err != nil {
		return n, fmt.Errorf("relay: server's side: %w", err)
	}
	r.hear(s)
	for i := range r.rx[:n] {
		p := &r.rx[i]
		if f := r.answer(s, p, now); f != nil {
			err = errors.Join(err, r.queue(s.inward, p, f.inward, toClients))
		} else {
			r.batch.refused = append(r.batch.refused, *p)
		}
	}
	return n, errors.Join(err, r.pass(toClients, s))
}

// answer returns the flow by which a datagram from outside passes, or nil if it does
// not.
func (r *Relay) answer(s *side, p *transport.RxPacket, now time.Duration) *flow {
	f := s.flow
	if s.ports != nil {
		f = s.ports[p.Port]
	}
	switch {
	case f == nil || p.From != r.cfg.Server:
		r.stats.strangers.Add(1)
	case !serversSend.pass(&r.header, p.Data):
		r.stats.foreign.Add(1)
	case len(p.Data) > r.inside.maxPayload:
		r.stats.tooLarge.Add(1)
	default:
		r.flows.use(f, now, serversSendConnected.has(r.header.Type))
		return f
	}
	return nil
}

// queue adds a datagram to the batch, of which all goes the same way.
func (r *Relay) queue(by carrier, p *transport.RxPacket, route transport.Route, direction int) (err error) {
	b := &r.batch
	if b.carrier != by {
		err = r.carry(direction)
		b.carrier = by
	}
	b.pkts, b.routes = append(b.pkts, *p), append(b.routes, route)
	b.bytes += uint64(len(p.Data))
	return err
}

// pass sends what is left of the batch, and gives back what was refused.
func (r *Relay) pass(direction int, from *side) error {
	err := r.carry(direction)
	if b := &r.batch; len(b.refused) > 0 {
		from.tr.Release(b.refused)
		b.refused = b.refused[:0]
	}
	return err
}

func (r *Relay) carry(direction int) error {
	b := &r.batch
	total := len(b.pkts)
	if total == 0 {
		return nil
	}
	n, err := b.carrier.carry(b.pkts, b.routes)
	c := &r.stats
	c.passed[direction].Add(uint64(n))
	c.bytes[direction].Add(b.bytes)
	if b.carrier.copies() == 0 {
		c.entrusted.Add(uint64(n))
	} else {
		c.copied.Add(uint64(n))
	}
	if n < total {
		c.overflow.Add(uint64(total - n))
	}
	b.pkts, b.routes, b.bytes = b.pkts[:0], b.routes[:0], 0
	return err
}

// hear takes what hosts and routers say of what was sent.
func (r *Relay) hear(s *side) {
	if s.reporter == nil {
		return
	}
	for _, told := s.reporter.NextUnreachable(); told; _, told = s.reporter.NextUnreachable() {
		r.stats.unreachable.Add(1)
	}
}

// Close closes all transports. Run has returned.
func (r *Relay) Close() error {
	for _, q := range []*queue{&r.flows.fresh, &r.flows.connected} {
		for q.first != nil {
			r.end(q.first)
		}
	}
	err := r.inside.tr.Close()
	for _, s := range []*side{r.outside, r.spare} {
		if s != nil {
			err = errors.Join(err, s.tr.Close())
		}
	}
	return errors.Join(err, r.sleeper.close())
}
