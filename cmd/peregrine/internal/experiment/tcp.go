package experiment

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// tcp is a model of a TCP connection that always has data to send, to compare
// with: segments of 1448 bytes, SACK, an acknowledgement for every second segment,
// CUBIC (RFC 9438, with HyStart's delay as Linux has it) or Reno (RFC 5681), ECN
// (RFC 3168), and a least timeout of 200 ms. It shares no code with package cc.
//
// A segment is lost once three that were sent after it have arrived. What is not in
// the model: a handshake, pacing, the kernel.
type tcp struct {
	net   *sim.Network
	port  *sim.Port
	route transport.Route
	reno  bool

	next, acked uint32 // segments: to be sent for the first time, and all before
	segments    map[uint32]*segment
	sent        []transmission // in order, less those that are settled in front
	lost        []uint32
	order       uint64 // of transmissions
	newest      uint64 // of those that arrived
	inFlight    int

	window, threshold float64
	recover           uint64 // in recovery until this transmission arrives; 0: not
	most, k           float64
	estimate, prior   float64 // W_est and cwnd_prior
	epoch             time.Duration

	smoothed, variance, least time.Duration
	round                     uint64 // ends with this transmission
	samples                   int
	roundLeast                time.Duration
	timeoutAt                 time.Duration
	backoff                   int

	sink *tcpSink
}

type segment struct {
	at    time.Duration
	order uint64
	lost  bool
}

type transmission struct {
	number uint32
	order  uint64
}

const (
	tcpSegment  = 1448
	tcpDatagram = 1472 // as long on the wire as a full segment
	tcpTimeout  = 200 * time.Millisecond
	tcpDelay    = 40 * time.Millisecond
	tcpReceive  = 6 << 20 / tcpSegment // the receiver's window: the most of tcp_rmem
	tcpC        = 0.4
	tcpBeta     = 0.7
)

// tcpSink is the receiver.
type tcpSink struct {
	port    *sim.Port
	route   transport.Route
	next    uint32 // all before have arrived
	early   map[uint32]bool
	pending int
	due     time.Duration
	latest  uint32
	marked  bool // since the last acknowledgement
	net     *sim.Network
	start   time.Duration
	bytes   []int // by tick
}

// tcp adds a connection between two hosts of their own.
func (r *rack) tcp(from, to *sim.Switch, algorithm string) *tcp {
	sink := r.Host("tcp sink", sim.HostConfig{})
	r.Link(sink, to, r.cable)
	return r.tcpTo(from, sink, algorithm)
}

// tcpTo adds a connection from a host of its own to one that is there.
func (r *rack) tcpTo(from *sim.Switch, sink *sim.Host, algorithm string) *tcp {
	source := r.Host("tcp", sim.HostConfig{SendQueue: tcpReceive})
	r.Link(source, from, r.cable)
	t := &tcp{
		net: r.Network, port: source.Open(number), reno: algorithm == "reno",
		segments: map[uint32]*segment{}, window: 10, threshold: math.Inf(1),
	}
	t.sink = &tcpSink{net: r.Network, port: sink.Open(number + 1), early: map[uint32]bool{}, start: r.start}
	t.route, _ = t.port.Resolve(t.sink.port.LocalAddr(), t.port.LocalAddr().Addr())
	t.sink.route, _ = t.sink.port.Resolve(t.port.LocalAddr(), t.sink.port.LocalAddr().Addr())
	sink.Run(t.sink, t.sink.port)
	source.Run(t, t.port)
	return t
}

// rate is the goodput in bits per second between two times.
func (t *tcp) rate(from, to time.Duration) float64 {
	a := arrivals{start: t.sink.start, bytes: t.sink.bytes}
	return a.rate(from, to)
}

// Poll implements sim.Actor.
func (t *tcp) Poll(now time.Duration) (bool, error) {
	var pkts [64]transport.RxPacket
	n, err := t.port.Recv(pkts[:])
	if err != nil {
		return false, err
	}
	for i := range pkts[:n] {
		t.hear(now, binary.LittleEndian.Uint32(pkts[i].Data), binary.LittleEndian.Uint32(pkts[i].Data[4:]), pkts[i].Data[8] != 0)
	}
	t.port.Release(pkts[:n])
	if t.inFlight > 0 && now >= t.timeoutAt {
		t.timeout(now)
	}
	sent := false
	for t.inFlight < min(int(t.window), tcpReceive) && t.send(now) {
		sent = true
	}
	return n > 0 || sent, nil
}

// NextDeadline implements sim.Actor.
func (t *tcp) NextDeadline() (time.Duration, bool) { return t.timeoutAt, t.inFlight > 0 }

// send sends what was lost, or something new.
func (t *tcp) send(now time.Duration) bool {
	var pkt [1]transport.TxPacket
	if t.port.Reserve(pkt[:]) == 0 {
		return false
	}
	number := t.next
	for len(t.lost) > 0 {
		number = t.lost[0]
		t.lost = t.lost[1:]
		if s := t.segments[number]; s != nil && s.lost {
			break
		}
		number = t.next
	}
	if number == t.next {
		t.next++
		t.segments[number] = &segment{}
	}
	t.order++
	*t.segments[number] = segment{at: now, order: t.order}
	t.sent = append(t.sent, transmission{number, t.order})
	head := pkt[0].Head[:tcpDatagram]
	binary.LittleEndian.PutUint32(head, number)
	pkt[0].Head, pkt[0].Route, pkt[0].ECN = head, t.route, transport.ECT0
	if n, _ := t.port.Send(pkt[:]); n == 0 {
		return false
	}
	if t.inFlight == 0 {
		t.arm(now)
	}
	t.inFlight++
	return true
}

func (t *tcp) arm(now time.Duration) {
	t.timeoutAt = now + max(tcpTimeout, t.smoothed+4*t.variance)<<min(t.backoff, 6)
}

// hear takes in an acknowledgement of all before a segment, and of one, and whether
// something was marked since the last.
func (t *tcp) hear(now time.Duration, all, one uint32, marked bool) {
	arrived := 0
	for ; t.acked < all; t.acked++ {
		arrived += t.arrived(now, t.acked)
	}
	arrived += t.arrived(now, one)
	if arrived == 0 {
		return
	}
	t.backoff = 0
	t.arm(now)
	for len(t.sent) > 0 && t.sent[0].order+3 <= t.newest {
		first := t.sent[0]
		t.sent = t.sent[1:]
		if s := t.segments[first.number]; s != nil && s.order == first.order && !s.lost {
			s.lost = true
			t.lost = append(t.lost, first.number)
			t.inFlight--
			if s.order > t.recover {
				t.cut()
			}
		}
	}
	switch {
	case t.newest <= t.recover:
	case marked:
		t.cut()
	default:
		t.grow(now, float64(arrived))
	}
}

// arrived takes a segment out of flight.
func (t *tcp) arrived(now time.Duration, number uint32) int {
	s := t.segments[number]
	if s == nil {
		return 0
	}
	delete(t.segments, number)
	if s.lost {
		return 1
	}
	t.inFlight--
	t.newest = max(t.newest, s.order)
	t.sample(now - s.at)
	return 1
}

func (t *tcp) sample(rtt time.Duration) {
	if t.smoothed == 0 {
		t.smoothed, t.variance, t.least = rtt, rtt/2, rtt
	}
	t.least = min(t.least, rtt)
	t.variance += ((t.smoothed - rtt).Abs() - t.variance) / 4
	t.smoothed += (rtt - t.smoothed) / 8
	if t.newest > t.round {
		t.round, t.samples, t.roundLeast = t.order, 0, rtt
	}
	t.samples++
	t.roundLeast = min(t.roundLeast, rtt)
	late := min(max(t.least/8, 4*time.Millisecond), 16*time.Millisecond)
	if t.window < t.threshold && t.samples == 8 && t.roundLeast > t.least+late {
		t.threshold = t.window
	}
}

func (t *tcp) cut() {
	beta := tcpBeta
	if t.reno {
		beta = 0.5
	}
	t.prior = t.window
	t.most, t.epoch = t.window, 0
	t.window = max(t.window*beta, 2)
	t.threshold = t.window
	t.recover = t.order
}

func (t *tcp) grow(now time.Duration, arrived float64) {
	switch {
	case t.window < t.threshold:
		t.window += arrived
	case t.reno:
		t.window += arrived / t.window
	default:
		if t.epoch == 0 {
			t.epoch, t.estimate = now, t.window
			t.most = max(t.most, t.window)
			t.k = math.Cbrt((t.most - t.window) / tcpC)
		}
		alpha := 3 * (1 - tcpBeta) / (1 + tcpBeta)
		if t.estimate >= t.prior {
			alpha = 1
		}
		t.estimate += alpha * arrived / t.window
		at := func(d time.Duration) float64 { return tcpC*math.Pow(d.Seconds()-t.k, 3) + t.most }
		if since := now - t.epoch; at(since) < t.estimate {
			t.window = max(t.window, t.estimate)
		} else {
			target := min(max(at(since+t.smoothed), t.window), 1.5*t.window)
			t.window += (target - t.window) * arrived / t.window
		}
	}
}

func (t *tcp) timeout(now time.Duration) {
	t.backoff++
	if t.backoff == 1 {
		t.cut()
	}
	t.window, t.epoch = 1, 0
	t.recover = t.order
	for number := t.acked; number < t.next; number++ {
		if s := t.segments[number]; s != nil && !s.lost {
			s.lost = true
			t.lost = append(t.lost, number)
		}
	}
	t.inFlight = 0
	t.arm(now)
}

// Poll implements sim.Actor.
func (s *tcpSink) Poll(now time.Duration) (bool, error) {
	var pkts [64]transport.RxPacket
	n, err := s.port.Recv(pkts[:])
	if err != nil {
		return false, err
	}
	for i := range pkts[:n] {
		s.marked = s.marked || pkts[i].ECN == transport.CE
		s.take(now, binary.LittleEndian.Uint32(pkts[i].Data))
	}
	s.port.Release(pkts[:n])
	if s.pending > 0 && now >= s.due {
		s.acknowledge()
	}
	return n > 0, nil
}

// NextDeadline implements sim.Actor.
func (s *tcpSink) NextDeadline() (time.Duration, bool) { return s.due, s.pending > 0 }

func (s *tcpSink) take(now time.Duration, number uint32) {
	s.latest = number
	if number < s.next || s.early[number] {
		s.acknowledge()
		return
	}
	at := int((now - s.start) / tick)
	for at >= len(s.bytes) {
		s.bytes = append(s.bytes, 0)
	}
	s.bytes[at] += tcpSegment
	s.early[number] = true
	ordered := number == s.next && len(s.early) == 1
	for s.early[s.next] {
		delete(s.early, s.next)
		s.next++
	}
	if s.pending++; s.pending == 1 {
		s.due = now + tcpDelay
	}
	if !ordered || s.pending > 1 {
		s.acknowledge()
	}
}

func (s *tcpSink) acknowledge() {
	s.pending = 0
	var pkt [1]transport.TxPacket
	if s.port.Reserve(pkt[:]) == 0 {
		return
	}
	pkt[0].Head = pkt[0].Head[:9]
	pkt[0].Head[8] = 0
	if s.marked {
		pkt[0].Head[8], s.marked = 1, false
	}
	binary.LittleEndian.PutUint32(pkt[0].Head, s.next)
	binary.LittleEndian.PutUint32(pkt[0].Head[4:], s.latest)
	pkt[0].Route = s.route
	_, _ = s.port.Send(pkt[:])
}
