package transport

import (
	"sync/atomic"
	"time"
)

// NewFault returns a Transport that loses, duplicates, reorders, delays and
// corrupts what inner sends and receives. Without any fault to apply it returns
// inner itself. It owns inner from here on.
//
// Datagrams that meet no fault pass without a copy, in runs as long as inner
// would see them. The others are copied; each direction holds at most 4096 of
// them back. A held one that is due leaves when the owner calls Send or Recv next,
// and Wait returns for it. Where bits are flipped, Caps().Integrity is false.
// Stats().FaultsApplied counts losses, duplicates, overtakings and flips.
func NewFault(inner Transport, f Faults) Transport {
	if !f.active() {
		return inner
	}
	start := time.Now()
	return newFault(inner, f, func() time.Duration { return time.Since(start) })
}

// newFault is NewFault on a clock of the caller's.
func newFault(inner Transport, f Faults, clock func() time.Duration) *fault {
	return &fault{
		Transport: inner,
		caps:      inner.Caps(),
		faults:    f,
		clock:     clock,
		tx:        newLane(f, 1),
		rx:        newLane(f, 2),
	}
}

// fault is the decorator. What it does not define goes to inner.
type fault struct {
	Transport
	caps   Caps // of inner
	faults Faults
	clock  func() time.Duration
	tx, rx lane

	// Transmit.
	heads      [][]byte // reserved of inner, and not lent now
	taken      uint64   // from the owner
	innerTaken uint64   // by inner, with our copies
	completed  uint64
	sent       []sentRun // whose payload inner may still read
	blocked    bool      // inner has no room for what is due
	out        [32]TxPacket

	// Receive. Handles are indices into lent.
	lent     []lent
	lentFree []uint64
	copies   int // lent that are ours

	applied atomic.Uint64
}

// sentRun relates inner's count of packets to the owner's, after a run of
// untouched packets.
type sentRun struct{ inner, outer uint64 }

// lent is what was given to the owner by Recv: a packet of inner's, or a copy.
type lent struct {
	handle uint64 // inner's
	copy   []byte
	ours   bool
}

// now reads the clock, where time decides anything.
func (f *fault) now() time.Duration {
	if f.faults.Delay > 0 || f.faults.Reorder > 0 {
		return f.clock()
	}
	return 0
}

func (f *fault) Reserve(pkts []TxPacket) int {
	n := 0
	for ; n < len(pkts) && len(f.heads) > 0; n++ {
		last := len(f.heads) - 1
		pkts[n].Head = f.heads[last]
		f.heads = f.heads[:last]
	}
	if n < len(pkts) {
		n += f.Transport.Reserve(pkts[n:])
	}
	return n
}

// unlend keeps a head for another packet: inner has no way to take it back.
func (f *fault) unlend(head []byte) {
	f.heads = append(f.heads, head[:f.caps.MaxPayload])
}

func (f *fault) Send(pkts []TxPacket) (int, error) {
	now := f.now()
	if err := f.pump(now); err != nil {
		return 0, err
	}
	n := 0
	for n < len(pkts) {
		run := f.tx.untouched(len(pkts) - n)
		if run == 0 && f.tooLarge(&pkts[n]) {
			run = 1 // inner's to refuse
		}
		if run > 0 {
			m, err := f.sendRun(pkts[n : n+run])
			f.tx.pass(m, now)
			n += m
			if err != nil || m < run {
				return n, err
			}
		} else {
			if f.tx.held() > maxHeld {
				return n, nil
			}
			p := &pkts[n]
			h := held{route: p.Route, ecn: p.ECN}
			f.applied.Add(f.tx.admit(h, p.Head, p.Payload, now))
			f.unlend(p.Head)
			p.Head, p.Payload = nil, nil
			f.taken++
			n++
		}
		if err := f.pump(now); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (f *fault) tooLarge(p *TxPacket) bool {
	return len(p.Head)+len(p.Payload) > f.caps.MaxPayload
}

// sendRun sends the owner's packets as they are.
func (f *fault) sendRun(pkts []TxPacket) (int, error) {
	n, err := f.Transport.Send(pkts)
	if n > 0 {
		f.innerTaken += uint64(n)
		f.taken += uint64(n)
		f.sent = append(f.sent, sentRun{f.innerTaken, f.taken})
		f.Completed() // keeps the list short
	}
	return n, err
}

// Completed translates inner's count into the owner's. Payloads of our copies
// were released when they were taken, so between two runs of inner's the count
// moves on by itself.
func (f *fault) Completed() uint64 {
	inner := f.Transport.Completed()
	done := 0
	for done < len(f.sent) && f.sent[done].inner <= inner {
		f.completed = f.sent[done].outer
		done++
	}
	if done > 0 {
		f.sent = f.sent[:copy(f.sent, f.sent[done:])]
	}
	if len(f.sent) == 0 {
		f.completed = f.taken
	}
	return f.completed
}

// pump sends the copies that are due, as far as inner has room.
func (f *fault) pump(now time.Duration) error {
	f.tx.rejoin(now)
	f.blocked = false
	for {
		n, pkts := 0, &f.out
		for ; n < len(pkts); n++ {
			h, ok := f.tx.leaving(n, now)
			if !ok {
				break
			}
			if f.Reserve(pkts[n:n+1]) == 0 {
				f.blocked = true
				break
			}
			p := &pkts[n]
			p.Route, p.ECN = h.route, h.ecn
			p.Head = p.Head[:copy(p.Head, h.data)]
		}
		if n == 0 {
			return nil
		}
		m, err := f.Transport.Send(pkts[:n])
		f.innerTaken += uint64(m)
		for i := range m {
			h, _ := f.tx.leaving(i, now)
			f.tx.recycle(h.data)
		}
		f.tx.leave(m)
		for _, p := range pkts[m:n] {
			f.blocked = true
			f.unlend(p.Head)
		}
		if err != nil || f.blocked {
			return err
		}
	}
}

// Forget sends all that is held at once, since the route is about to end.
func (f *fault) Forget(r Route) {
	f.tx.flush()
	_ = f.pump(0) // the next Send reports it
	// What inner has no room for is lost, as it may be on any network.
	for f.tx.held() > 0 {
		h, _ := f.tx.leaving(0, 0)
		f.tx.recycle(h.data)
		f.tx.leave(1)
		f.applied.Add(1)
	}
	f.Transport.Forget(r)
}

func (f *fault) Recv(pkts []RxPacket) (int, error) {
	now := f.now()
	if err := f.pump(now); err != nil {
		return 0, err
	}
	f.rx.rejoin(now)
	n := f.deliver(pkts, 0, now)

	// Each packet may become two copies, which must fit. And the overtaken need
	// slots ahead of those who are yet to overtake them.
	if n == len(pkts) {
		return n, nil
	}
	room := max(0, 2*maxHeld-f.rx.held()-f.copies) / 2
	first := n + min(len(f.rx.overtaken), len(pkts)-n-1)
	fresh := pkts[first:min(len(pkts), first+room)]
	if len(fresh) == 0 {
		return n, nil
	}
	m, err := f.Transport.Recv(fresh)
	for i := range m {
		p := fresh[i]
		if f.rx.untouched(1) == 1 {
			f.rx.pass(1, now)
			p.Handle = f.lend(lent{handle: p.Handle})
			pkts[n] = p
			n++
		} else {
			h := held{from: p.From, to: p.To, ecn: p.ECN}
			f.applied.Add(f.rx.admit(h, p.Data, nil, now))
			f.Transport.Release(fresh[i : i+1])
		}
		// Behind fresh[i] lie packets not looked at yet.
		n = f.deliver(pkts[:first+i+1], n, now)
	}
	return f.deliver(pkts, n, now), err
}

// deliver moves received copies that are due to pkts[n:], and returns the new n.
func (f *fault) deliver(pkts []RxPacket, n int, now time.Duration) int {
	for ; n < len(pkts); n++ {
		h, ok := f.rx.leaving(0, now)
		if !ok {
			break
		}
		pkts[n] = RxPacket{Data: h.data, From: h.from, To: h.to, ECN: h.ecn, Handle: f.lend(lent{copy: h.data, ours: true})}
		f.copies++
		f.rx.leave(1)
	}
	return n
}

// lend enters what Recv returns in the table, and returns its handle.
func (f *fault) lend(l lent) uint64 {
	if last := len(f.lentFree) - 1; last >= 0 {
		handle := f.lentFree[last]
		f.lentFree = f.lentFree[:last]
		f.lent[handle] = l
		return handle
	}
	f.lent = append(f.lent, l)
	return uint64(len(f.lent) - 1)
}

func (f *fault) Release(pkts []RxPacket) {
	run := 0 // the first of inner's not given back yet
	for i := range pkts {
		handle := pkts[i].Handle
		l := f.lent[handle]
		f.lent[handle] = lent{}
		f.lentFree = append(f.lentFree, handle)
		if !l.ours {
			pkts[i].Handle = l.handle
			continue
		}
		f.rx.recycle(l.copy)
		f.copies--
		f.Transport.Release(pkts[run:i])
		run = i + 1
	}
	f.Transport.Release(pkts[run:])
}

func (f *fault) Wait(timeout time.Duration) error {
	due := f.rx.due()
	if !f.blocked { // else inner wakes us when it has room
		due = min(due, f.tx.due())
	}
	if due != never {
		left := max(0, due-f.now())
		if timeout < 0 || left < timeout {
			timeout = left
		}
	}
	return f.Transport.Wait(timeout)
}

func (f *fault) Caps() Caps {
	caps := f.caps
	caps.RxBuffers = min(caps.RxBuffers, maxHeld)
	caps.Integrity = caps.Integrity && f.faults.Corrupt <= 0
	caps.Notes = append(caps.Notes[:len(caps.Notes):len(caps.Notes)], "faults are injected: "+f.faults.String())
	return caps
}

func (f *fault) Stats() Stats {
	s := f.Transport.Stats()
	s.FaultsApplied += f.applied.Load()
	return s
}
