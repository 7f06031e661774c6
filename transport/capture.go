package transport

import (
	"net/netip"
	"time"
)

// Direction says which way a captured datagram went.
type Direction uint8

// Directions.
const (
	Inbound     Direction = iota // received
	Outbound                     // taken by Send
	Undelivered                  // sent before, and a host or router says that it could not deliver it
)

// Frame is one datagram that a [Capture] shows.
type Frame struct {
	// Time is when it was sent or received, in ns since 1970. Those of one Send or
	// Recv have the same, less what each Waited.
	Time int64
	// Local is this host's end. Its address is a wildcard where the queue's is,
	// and the backend does not say more.
	Local, Peer netip.AddrPort
	Direction   Direction
	ECN         ECN
	// Waited is how long it lay on this host before Recv, where the backend knows.
	Waited time.Duration
	// Size is its length in bytes, of which Data is the start. Of one that is
	// Undelivered, what came back.
	Size int
	Data []byte
	// Missed is how many datagrams before it found no room in the buffer.
	Missed uint64
	// Err says why it is Undelivered, as [Unreachable] does.
	Err error
}

// CaptureOptions say what a [Capture] keeps. The zero value is all.
type CaptureOptions struct {
	// Snap is how many bytes of each datagram are kept; 0: all.
	Snap int
	// Every keeps one in so many datagrams; 0 and 1: all.
	Every int
	// Peer, if set, says whose datagrams are kept. The owner calls it for each
	// datagram received and each Route made; it must not block.
	Peer func(netip.AddrPort) bool
	// Buffer is how many bytes of datagrams may wait for Read; 0: 4 MiB. It is
	// rounded up to a power of two. One datagram in 512 bytes of it may wait.
	Buffer int
}

// NewCapture returns a Transport that keeps a copy of what inner sends and
// receives, for another goroutine to Read. It owns inner from here on.
//
// The owner copies datagrams into a buffer of fixed size, without waiting and
// without an allocation; what finds no room is not captured, and counted. There
// is one reading of the clock a burst.
func NewCapture(inner Transport, o CaptureOptions) *Capture {
	if o.Buffer <= 0 {
		o.Buffer = 4 << 20
	}
	c := &Capture{Transport: inner, options: o, local: inner.LocalAddr()}
	c.reports, _ = inner.(UnreachableReporter)
	c.ring.init(o.Buffer)
	return c
}

// Capture is a Transport that is looked at; see [NewCapture].
type Capture struct {
	// Transport is the one inside. What Capture does not define goes there.
	Transport
	options CaptureOptions
	local   netip.AddrPort
	reports UnreachableReporter
	ring    captureRing

	// The owner's:
	ends    []captureEnds // by Route
	marks   []captureMark // before each datagram of a burst
	skipped int           // since the last one kept, of Every
}

// captureEnds is what a Route joins.
type captureEnds struct {
	local, peer netip.AddrPort
	kept        bool
}

// captureMark is how far the owner is.
type captureMark struct {
	at      captureCursor
	skipped int
}

// Read shows f the frames that lie ready, oldest first, and returns how many. A
// Frame and its Data are valid during the call. One goroutine at a time may call
// it, also after Close, for what is left.
func (c *Capture) Read(f func(*Frame)) int { return c.ring.read(f) }

// Ready gets a value when the buffer is filling: whoever reads at times should
// not wait for longer. It gets one from Close, too.
func (c *Capture) Ready() <-chan struct{} { return c.ring.ready }

// Missed is how many datagrams found no room so far. Any goroutine may call it.
func (c *Capture) Missed() uint64 { return c.ring.missed.Load() }

// Resolve implements [Transport].
func (c *Capture) Resolve(addr netip.AddrPort, source netip.Addr) (Route, error) {
	r, err := c.Transport.Resolve(addr, source)
	if err == nil {
		c.enter(r, addr, source)
	}
	return r, err
}

// Dial implements [Dialer].
func (c *Capture) Dial(addr netip.AddrPort) (Route, error) {
	r, err := Dial(c.Transport, addr)
	if err == nil {
		c.enter(r, addr, netip.Addr{})
	}
	return r, err
}

// enter notes what a route joins. Routes are indexes, so the table is dense.
func (c *Capture) enter(r Route, peer netip.AddrPort, source netip.Addr) {
	if grow := int(r) + 1 - len(c.ends); grow > 0 {
		c.ends = append(c.ends, make([]captureEnds, grow)...)
	}
	local := c.local
	if source.IsValid() {
		local = netip.AddrPortFrom(source, local.Port())
	}
	c.ends[r] = captureEnds{local: local, peer: peer, kept: c.options.Peer == nil || c.options.Peer(peer)}
}

// BindThread implements [ThreadBinder].
func (c *Capture) BindThread() (release func(), err error) { return BindThread(c.Transport) }

// NextUnreachable implements [UnreachableReporter], if inner does.
func (c *Capture) NextUnreachable() (u Unreachable, ok bool) {
	if c.reports == nil {
		return u, false
	}
	u, ok = c.reports.NextUnreachable()
	if ok && (c.options.Peer == nil || c.options.Peer(u.To)) {
		if f := c.ring.put(u.Data, nil, c.options.Snap); f != nil {
			f.time, f.waited, f.ecn = time.Now().UnixNano(), 0, 0
			f.local, f.port, f.peer, f.direction, f.err = c.local.Addr(), c.local.Port(), u.To, Undelivered, u.Err
		}
		c.ring.publish()
	}
	return u, ok
}

// skips says that Every keeps none of the next n datagrams, whoever's they are.
func (c *Capture) skips(n int) bool { return c.options.Peer == nil && c.skipped+n < c.options.Every }

// sampled says whether the next datagram is one that Every keeps.
func (c *Capture) sampled() bool {
	if c.options.Every <= 1 {
		return true
	}
	c.skipped++
	if c.skipped < c.options.Every {
		return false
	}
	c.skipped = 0
	return true
}

// Send implements [Transport]. Datagrams are copied first, since their heads are
// gone after, and forgotten again where inner does not take them.
func (c *Capture) Send(pkts []TxPacket) (int, error) {
	if len(pkts) == 0 {
		return c.Transport.Send(pkts)
	}
	if c.skips(len(pkts)) {
		n, err := c.Transport.Send(pkts)
		c.skipped += n
		return n, err
	}
	now := time.Now().UnixNano()
	c.marks = c.marks[:0]
	for i := range pkts {
		c.marks = append(c.marks, captureMark{c.ring.next, c.skipped})
		p := &pkts[i]
		if int(p.Route) >= len(c.ends) {
			continue // inner's to refuse
		}
		if ends := &c.ends[p.Route]; ends.kept && c.sampled() {
			if f := c.ring.put(p.Head, p.Payload, c.options.Snap); f != nil {
				f.time, f.waited, f.ecn, f.direction, f.err = now, 0, p.ECN, Outbound, nil
				f.local, f.port, f.peer = ends.local.Addr(), ends.local.Port(), ends.peer
			}
		}
	}
	n, err := c.Transport.Send(pkts)
	if n < len(c.marks) {
		c.ring.next, c.skipped = c.marks[n].at, c.marks[n].skipped
	}
	c.ring.publish()
	return n, err
}

// Recv implements [Transport].
func (c *Capture) Recv(pkts []RxPacket) (int, error) {
	n, err := c.Transport.Recv(pkts)
	if n == 0 {
		return n, err
	}
	if c.skips(n) {
		c.skipped += n
		return n, err
	}
	now := time.Now().UnixNano()
	for i := range pkts[:n] {
		p := &pkts[i]
		if c.options.Peer != nil && !c.options.Peer(p.From) || !c.sampled() {
			continue
		}
		f := c.ring.put(p.Data, nil, c.options.Snap)
		if f == nil {
			continue
		}
		f.time, f.waited, f.ecn, f.direction, f.err = now-int64(p.Waited), p.Waited, p.ECN, Inbound, nil
		f.local, f.port, f.peer = c.local.Addr(), c.local.Port(), p.From
		if p.To.IsValid() {
			f.local = p.To
		}
		if p.Port != 0 {
			f.port = p.Port
		}
	}
	c.ring.publish()
	return n, err
}

// Close implements [Transport].
func (c *Capture) Close() error {
	err := c.Transport.Close()
	c.ring.wake()
	return err
}
