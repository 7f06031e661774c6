package cc_test

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
)

// bottleneck is a network in virtual time: senders with links of their own, and
// one FIFO queue which they share.
type bottleneck struct {
	rate     float64 // bytes per second
	uplinks  float64 // of the senders' links, in bottlenecks
	trip     time.Duration
	buffer   int     // bytes; 0: endless
	mark     int     // bytes queued from which CE is set; 0: never
	loss     float64 // probability
	datagram int
	// ends delays what the endpoints do by the noise they have at that time.
	ends func(now time.Duration) time.Duration

	now    time.Duration
	events events
	order  int
	chance *rand.Rand
	free   time.Duration // when the queue will be empty
	// delays are queueing delays since measured began.
	delays []time.Duration
	flows  []*sender
}

// sender is a flow with data to send while active.
type sender struct {
	net        *bottleneck
	controller cc.Controller
	active     bool
	free       time.Duration // of its own link
	nextAt     time.Duration // as paced
	wakes      time.Duration
	packets    map[int]inFlight
	next       int
	oldest     int
	bytes      int
	lastSent   time.Duration
	probes     int
	unasked    int // bytes sent since one asked for an acknowledgement
	timer      int
	srtt       time.Duration
	// The receiver's half.
	pending, marked int
	heard           time.Duration
	arrived         []int
	delivered       int
}

type inFlight struct {
	at   time.Duration
	size int
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newBottleneck(gigabits float64, trip time.Duration, datagram int) *bottleneck {
	return &bottleneck{
		rate: gigabits * 1e9 / 8, uplinks: 1, trip: trip, datagram: datagram,
		ends:   func(time.Duration) time.Duration { return 0 },
		chance: rand.New(rand.NewPCG(1, 2)),
	}
}

func (b *bottleneck) add(f cc.Factory) *sender {
	s := &sender{
		net: b, active: true, packets: make(map[int]inFlight),
		controller: f(cc.Path{Datagram: b.datagram, LinkRate: uint64(b.rate * 8)}),
	}
	b.flows = append(b.flows, s)
	b.at(b.now, s.send)
	return s
}

func (b *bottleneck) at(at time.Duration, do func()) {
	b.order++
	heap.Push(&b.events, event{at, b.order, do})
}

func (b *bottleneck) run(d time.Duration) {
	end := b.now + d
	for len(b.events) > 0 && b.events[0].at <= end {
		e := heap.Pop(&b.events).(event)
		b.now = e.at
		e.do()
	}
	b.now = end
}

// measure runs for d, and returns the median queueing delay and what each flow
// delivered in bytes per second.
func (b *bottleneck) measure(d time.Duration) (queue time.Duration, goodput []float64) {
	before := make([]int, len(b.flows))
	for i, s := range b.flows {
		before[i] = s.delivered
	}
	b.delays = b.delays[:0]
	b.run(d)
	for i, s := range b.flows {
		goodput = append(goodput, float64(s.delivered-before[i])/d.Seconds())
	}
	if len(b.delays) == 0 {
		return 0, goodput
	}
	slices.Sort(b.delays)
	return b.delays[len(b.delays)/2], goodput
}

func (b *bottleneck) serialise(bytes int) time.Duration {
	return time.Duration(float64(bytes) / b.rate * 1e9)
}

func (s *sender) send() {
	b, size, before := s.net, s.net.datagram, s.bytes
	for s.active && (s.bytes < s.controller.Window() || s.bytes == 0) && len(s.packets) < 2048 {
		rate := s.controller.Rate()
		if rate > 0 {
			if s.nextAt > b.now {
				if s.wakes <= b.now || s.nextAt < s.wakes {
					s.wakes = s.nextAt
					b.at(s.nextAt, s.send)
				}
				break
			}
			s.nextAt = max(s.nextAt, b.now-10*time.Microsecond) + time.Duration(float64(size)/float64(rate)*1e9)
		}
		n := s.next
		s.next++
		s.packets[n] = inFlight{b.now, size}
		s.bytes += size
		s.lastSent = b.now
		s.free = max(s.free, b.now) + time.Duration(float64(b.serialise(size))/b.uplinks)
		s.unasked += size
		ackNow := s.bytes >= s.controller.Window() || s.unasked >= s.controller.Window()/4
		if ackNow {
			s.unasked = 0
		}
		b.at(s.free+b.trip/4, func() { s.enqueue(n, size, ackNow) })
	}
	if s.bytes != before {
		s.controller.Sent(b.now, s.bytes-before, s.bytes)
		s.arm()
	}
}

// arm sets the timer that notices silence.
func (s *sender) arm() {
	s.timer++
	mine := s.timer
	s.net.at(max(s.probeAt(), s.net.now), func() {
		if s.timer == mine && s.bytes > 0 {
			s.timeout()
		}
	})
}

func (s *sender) probeAt() time.Duration {
	return s.lastSent + (max(s.srtt, 100*time.Microsecond)+time.Millisecond)<<min(s.probes, 6)
}

// timeout gives up the oldest packet and sends another, whatever the window.
func (s *sender) timeout() {
	b, size := s.net, s.net.datagram
	for s.packets[s.oldest] == (inFlight{}) {
		s.oldest++
	}
	delete(s.packets, s.oldest)
	s.probes++
	s.controller.TimedOut(b.now)
	n := s.next
	s.next++
	s.packets[n] = inFlight{b.now, size}
	s.lastSent = b.now
	s.controller.Sent(b.now, size, s.bytes)
	b.at(b.now+b.trip/4, func() { s.enqueue(n, size, true) })
	s.arm()
}

func (s *sender) enqueue(n, size int, ackNow bool) {
	b := s.net
	wait := max(b.free-b.now, 0)
	queued := int(wait.Seconds() * b.rate)
	b.delays = append(b.delays, wait)
	if b.buffer > 0 && queued+size > b.buffer || b.chance.Float64() < b.loss {
		return
	}
	b.free = b.now + wait + b.serialise(size)
	ce := b.mark > 0 && queued > b.mark
	s.heard = max(s.heard, b.free+b.trip/4+b.ends(b.free))
	b.at(s.heard, func() { s.receive(n, ce, ackNow) })
}

func (s *sender) receive(n int, ce, ackNow bool) {
	s.pending++
	s.delivered += s.net.datagram
	s.arrived = append(s.arrived, n)
	if ce {
		s.marked++
	}
	if ackNow || s.pending >= 32 {
		s.acknowledge()
	} else if s.pending == 1 {
		first := n
		s.net.at(s.net.now+500*time.Microsecond, func() {
			if s.pending > 0 && s.arrived[0] == first {
				s.acknowledge()
			}
		})
	}
}

func (s *sender) acknowledge() {
	b, arrived, marked := s.net, s.arrived, s.marked
	s.pending, s.marked, s.arrived = 0, 0, nil
	b.at(b.now+b.trip/2, func() { s.acked(arrived, marked) })
}

func (s *sender) acked(numbers []int, marked int) {
	b := s.net
	a := cc.Ack{Now: b.now, CE: marked, Datagram: b.datagram}
	for _, n := range numbers {
		p, ok := s.packets[n]
		if !ok {
			continue
		}
		delete(s.packets, n)
		s.bytes -= b.datagram
		a.Packets++
		a.Bytes += b.datagram
		a.RTT, a.Sent = b.now-p.at, p.at
	}
	if a.Packets == 0 {
		return
	}
	if s.srtt == 0 {
		s.srtt = a.RTT
	}
	s.srtt += (a.RTT - s.srtt) / 8
	s.probes = 0
	last := numbers[len(numbers)-1]
	lost, lastLost := 0, time.Duration(0)
	for ; s.oldest <= last-3; s.oldest++ {
		if p, ok := s.packets[s.oldest]; ok {
			lastLost = p.at
			delete(s.packets, s.oldest)
			lost += b.datagram
		}
	}
	s.bytes -= lost
	if lost > 0 {
		s.controller.Lost(cc.Loss{Now: b.now, Bytes: lost, Sent: lastLost, InFlight: s.bytes})
	}
	a.InFlight = s.bytes
	s.controller.Acked(a)
	s.arm()
	s.send()
}

// jain is Jain's fairness index: 1 for equal shares, 1/n for one that has all.
func jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(shares)) * squares)
}

func total(shares []float64) (sum float64) {
	for _, x := range shares {
		sum += x
	}
	return sum
}
