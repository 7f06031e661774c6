package conformance

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// altered changes packets on their way.
type altered struct {
	transport.Transport
	send func(*transport.TxPacket)
	recv func(*transport.RxPacket)
}

func (a altered) Send(pkts []transport.TxPacket) (int, error) {
	for i := range pkts {
		if a.send != nil {
			a.send(&pkts[i])
		}
	}
	return a.Transport.Send(pkts)
}

func (a altered) Recv(pkts []transport.RxPacket) (int, error) {
	n, err := a.Transport.Recv(pkts)
	for i := range pkts[:n] {
		if a.recv != nil {
			a.recv(&pkts[i])
		}
	}
	return n, err
}

// odd has a wrong answer.
type odd struct {
	transport.Transport
	headers      uint64 // are counted as bytes
	incomplete   bool
	fussy        bool
	unforgetting bool
	careless     bool // of the source that packets are to leave from
}

func (o *odd) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	if o.careless {
		source = netip.Addr{}
	}
	return o.Transport.Resolve(addr, source)
}

func (o *odd) Stats() transport.Stats {
	s := o.Transport.Stats()
	s.TxBytes += o.headers * s.TxPackets
	return s
}

func (o *odd) Completed() uint64 {
	if o.incomplete {
		return 0
	}
	return o.Transport.Completed()
}

func (o *odd) Send(pkts []transport.TxPacket) (int, error) {
	n, err := o.Transport.Send(pkts)
	if o.fussy && refusals(o.Stats()) > 0 {
		err = errors.New("a packet was lost")
	}
	return n, err
}

func (o *odd) Forget(r transport.Route) {
	if !o.unforgetting {
		o.Transport.Forget(r)
	}
}

// gossip reports the wrong peer.
type gossip struct{ odd }

func (g *gossip) NextUnreachable() (transport.Unreachable, bool) {
	u, ok := g.odd.Transport.(transport.UnreachableReporter).NextUnreachable()
	u.To = netip.AddrPortFrom(u.To.Addr(), u.To.Port()+1)
	return u, ok
}

// touchy drops the packet behind one that was refused, once in a while.
type touchy struct {
	transport.Transport
	refused uint64
	count   int
}

func (y *touchy) Send(pkts []transport.TxPacket) (int, error) {
	for i := range pkts {
		if refused := refusals(y.Stats()); refused > y.refused {
			y.refused = refused
			if y.count++; y.count%50 == 0 {
				pkts[i].Head, pkts[i].Payload = nil, nil
				continue
			}
		}
		if n, err := y.Transport.Send(pkts[i : i+1]); n == 0 {
			return i, err
		}
	}
	return len(pkts), nil
}

// doubling sends every hundredth packet twice.
type doubling struct {
	transport.Transport
	sent int
}

func (d *doubling) Send(pkts []transport.TxPacket) (int, error) {
	for _, p := range pkts {
		if d.sent++; d.sent%100 == 0 {
			again := make([]transport.TxPacket, 1)
			if d.Transport.Reserve(again) == 1 {
				again[0].Route = p.Route
				again[0].Head = append(append(again[0].Head[:0], p.Head...), p.Payload...)
				_, _ = d.Transport.Send(again)
			}
		}
	}
	return d.Transport.Send(pkts)
}

// leaky takes some packets, or those that are too large, and does nothing with
// them.
type leaky struct {
	transport.Transport
	large        bool
	every, taken int
}

func (l *leaky) Send(pkts []transport.TxPacket) (int, error) {
	for i := range pkts {
		size := len(pkts[i].Head) + len(pkts[i].Payload)
		if l.taken++; l.every > 0 && l.taken%l.every == 0 || l.large && size > l.Caps().MaxPayload {
			pkts[i].Head, pkts[i].Payload = nil, nil
			continue
		}
		if n, err := l.Transport.Send(pkts[i : i+1]); n == 0 {
			return i, err
		}
	}
	return len(pkts), nil
}

// grabbing keeps the heads of packets that it did not take.
type grabbing struct{ stingy }

func (g *grabbing) Send(pkts []transport.TxPacket) (int, error) {
	n, err := g.stingy.Send(pkts)
	for i := n; i < len(pkts); i++ {
		pkts[i].Head = slices.Clone(pkts[i].Head)
	}
	return n, err
}

// twice lends the first buffer of a batch twice.
type twice struct{ transport.Transport }

func (t twice) Reserve(pkts []transport.TxPacket) int {
	n := t.Transport.Reserve(pkts)
	if n > 1 {
		pkts[1].Head = pkts[0].Head
	}
	return n
}

// late sends when the other side looks for it, and reads the payload only then.
type late struct {
	transport.Transport
	relend  bool // buffers that have not been sent yet
	pending []transport.TxPacket
}

// lateOnes are all that a process has: it runs one story, on one goroutine.
var lateOnes []*late

func (l *late) Send(pkts []transport.TxPacket) (int, error) {
	if !slices.Contains(lateOnes, l) {
		lateOnes = append(lateOnes, l)
	}
	for i := range pkts {
		l.pending = append(l.pending, pkts[i])
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
	return len(pkts), nil
}

func (l *late) Completed() uint64 { return l.Transport.Completed() + uint64(len(l.pending)) }

func (l *late) Reserve(pkts []transport.TxPacket) int {
	n := 0
	if l.relend {
		for ; n < min(len(l.pending), len(pkts)/2); n++ {
			pkts[n].Head = l.pending[n].Head[:l.Caps().MaxPayload]
		}
	}
	return n + l.Transport.Reserve(pkts[n:])
}

func (l *late) Recv(pkts []transport.RxPacket) (int, error) {
	for _, other := range lateOnes {
		_, _ = other.Transport.Send(other.pending)
		other.pending = nil
	}
	return l.Transport.Recv(pkts)
}

// hasty does not let its views be held as it ought to.
type hasty struct {
	transport.Transport
	scrawl bool // over the last one
	most   int  // that are lent, or all
	sulk   bool // lends nothing any more after the most

	held int
	last []byte
}

func (h *hasty) Recv(pkts []transport.RxPacket) (int, error) {
	if h.most > 0 {
		pkts = pkts[:min(len(pkts), h.most-h.held)]
		h.sulk = h.sulk && h.held < h.most || h.sulk
	}
	if h.sulk && h.held >= h.most {
		h.most = h.held // for ever
		return 0, nil
	}
	n, err := h.Transport.Recv(pkts)
	h.held += n
	if n > 0 {
		if h.scrawl && len(h.last) > 0 {
			h.last[0]++
		}
		h.last = pkts[n-1].Data
	}
	return n, err
}

func (h *hasty) Release(pkts []transport.RxPacket) {
	if !h.sulk || h.held < h.most {
		h.held -= len(pkts)
	}
	h.Transport.Release(pkts)
}

// sleepy waits too long, or not at all.
type sleepy struct {
	transport.Transport
	endless   bool
	spin      bool
	forgetful bool // of wake-ups while nobody waits
	every     int64

	waiting atomic.Bool
	wakes   atomic.Int64
}

func (s *sleepy) Wait(timeout time.Duration) error {
	switch {
	case s.spin:
		timeout = 0
	case s.endless && timeout > 0:
		timeout = -1
	}
	s.waiting.Store(true)
	defer s.waiting.Store(false)
	return s.Transport.Wait(timeout)
}

func (s *sleepy) Wake() {
	if s.forgetful && !s.waiting.Load() || s.every > 0 && s.wakes.Add(1)%s.every == 0 {
		return
	}
	s.Transport.Wake()
}

// deaf wakes for nothing but Wake and Close.
type deaf struct {
	transport.Transport
	wake chan struct{}
}

func newDeaf(tr transport.Transport) *deaf { return &deaf{tr, make(chan struct{}, 1)} }

func (d *deaf) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *deaf) Wait(timeout time.Duration) error {
	var expired <-chan time.Time
	if timeout >= 0 {
		expired = time.After(timeout)
	}
	select {
	case <-d.wake:
	case <-expired:
	}
	return d.Transport.Wait(0)
}

func (d *deaf) Close() error {
	defer d.Wake()
	return d.Transport.Close()
}

// halfClosed does not close, once.
type halfClosed struct {
	transport.Transport
	closed bool
}

func (h *halfClosed) Close() error {
	if !h.closed {
		h.closed = true
		return nil
	}
	return h.Transport.Close()
}

var kept []*os.File

func keep() *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	return f
}

// polite closes when nobody waits.
type polite struct {
	transport.Transport
	waiting sync.Mutex
}

func (p *polite) Wait(timeout time.Duration) error {
	p.waiting.Lock()
	defer p.waiting.Unlock()
	return p.Transport.Wait(timeout)
}

func (p *polite) Close() error {
	p.waiting.Lock()
	defer p.waiting.Unlock()
	return p.Transport.Close()
}

// stuck does not come back from a Wait without a timeout.
type stuck struct{ transport.Transport }

func (s *stuck) Wait(timeout time.Duration) error {
	if timeout < 0 {
		select {}
	}
	return s.Transport.Wait(timeout)
}

// fading changes a view when it is asked for others.
type fading struct {
	transport.Transport
	view []byte
}

func (f *fading) Recv(pkts []transport.RxPacket) (int, error) {
	if len(f.view) > 0 {
		f.view[0]++
	}
	n, err := f.Transport.Recv(pkts)
	if f.view = nil; n > 0 {
		f.view = pkts[0].Data
	}
	return n, err
}

func (f *fading) Release(pkts []transport.RxPacket) {
	f.view = nil
	f.Transport.Release(pkts)
}

// hurried claims to have completed what it sends only when it is asked for
// something else.
type hurried struct {
	transport.Transport
	taken []transport.TxPacket
}

func (h *hurried) Send(pkts []transport.TxPacket) (int, error) {
	h.taken = append(h.taken, pkts...)
	for i := range pkts {
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
	return len(pkts), nil
}

func (h *hurried) Completed() uint64 { return h.Transport.Completed() + uint64(len(h.taken)) }

func (h *hurried) Stats() transport.Stats {
	h.flush()
	return h.Transport.Stats()
}

func (h *hurried) Recv(pkts []transport.RxPacket) (int, error) {
	h.flush()
	return h.Transport.Recv(pkts)
}

func (h *hurried) flush() {
	_, _ = h.Transport.Send(h.taken)
	h.taken = nil
}

// tardy sends what it took, and claims to have completed, a turn later.
type tardy struct {
	transport.Transport
	taken []transport.TxPacket
}

func (l *tardy) Send(pkts []transport.TxPacket) (int, error) {
	l.taken = append(l.taken, pkts...)
	for i := range pkts {
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
	l.Wake()
	return len(pkts), nil
}

func (l *tardy) Completed() uint64 { return l.Transport.Completed() + uint64(len(l.taken)) }

func (l *tardy) Recv(pkts []transport.RxPacket) (int, error) {
	if err := l.send(); err != nil {
		return 0, err
	}
	return l.Transport.Recv(pkts)
}

func (l *tardy) Forget(r transport.Route) {
	_ = l.send() // Recv reports it
	l.Transport.Forget(r)
}

func (l *tardy) send() error {
	_, err := l.Transport.Send(l.taken)
	l.taken = l.taken[:0]
	return err
}

// narrow loses what is longer than half of what it says that it carries.
type narrow struct{ transport.Transport }

func (n narrow) Send(pkts []transport.TxPacket) (int, error) {
	for i := range pkts {
		if p := &pkts[i]; len(p.Head)+len(p.Payload) > n.Caps().MaxPayload/2 {
			p.Head, p.Payload = p.Head[:1], nil
		}
	}
	return n.Transport.Send(pkts)
}
