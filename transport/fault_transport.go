package transport

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// NewFault returns a Transport that loses, duplicates, reorders, delays and
// corrupts what inner sends and receives. It owns inner from here on.
//
// Datagrams that meet no fault pass without a copy, in runs as long as inner
// would see them; while there is no fault to apply, all do, at next to no cost.
// The others are copied; each direction holds at most 4096 of them back. A held
// one that is due leaves when the owner calls Send or Recv next, and Wait returns
// for it. Where bits are flipped from the start, Caps().Integrity is false.
// Stats().FaultsApplied counts losses, duplicates, overtakings and flips.
func NewFault(inner Transport, faults Faults) *Fault {
	start := time.Now()
	return newFault(inner, faults, func() time.Duration { return time.Since(start) })
}

// newFault is NewFault on a clock of the caller's.
func newFault(inner Transport, faults Faults, clock func() time.Duration) *Fault {
	f := &Fault{Transport: inner, caps: inner.Caps(), clock: clock}
	f.caps.RxBuffers = min(f.caps.RxBuffers, maxHeld)
	f.caps.Integrity = f.caps.Integrity && faults.Corrupt <= 0
	if faults.active() {
		f.caps.Notes = append(f.caps.Notes[:len(f.caps.Notes):len(f.caps.Notes)], "faults are injected: "+faults.String())
	}
	f.Set(faults)
	f.obey()
	return f
}

// Fault is a Transport that is made unreliable; see [NewFault].
type Fault struct {
	// Transport is the one inside. What Fault does not define goes there.
	Transport
	caps  Caps
	clock func() time.Duration

	wanted atomic.Pointer[Faults] // by Set

	// From here on it is the owner's.
	obeyed *Faults // what lanes do
	plain  bool    // they do nothing, and hold nothing
	tx, rx lane

	// Transmit.
	heads      [][]byte // reserved of inner, and not lent now
	taken      uint64   // from the owner
	innerTaken uint64   // by inner, with our copies
	completed  uint64
	sent       []sentRun // whose payload inner may still read
	blocked    bool      // inner has no room for what is due
	out        [32]TxPacket

	// Receive. A handle with the bit ours is an index into lent; any other is
	// inner's.
	lent     []lent
	lentFree []uint64
	copies   int // lent that are ours

	applied atomic.Uint64
}

// ours marks handles.
const ours = uint64(1) << 63

// Set changes the faults from the next Send and Recv on. Any goroutine may call
// it at any time. The seed begins anew: datagrams from then on meet the same
// faults each time. What is held back already leaves when it was to.
//
// Where Caps().Integrity is true, a datagram with a flipped bit is lost, for the
// checksum below would not pass it.
func (f *Fault) Set(faults Faults) { f.wanted.Store(&faults) }

// Faults is what was set last. Any goroutine may call it.
func (f *Fault) Faults() Faults { return *f.wanted.Load() }

// obey takes in what Set wants.
func (f *Fault) obey() {
	wanted := f.wanted.Load()
	if wanted != f.obeyed {
		f.obeyed = wanted
		f.tx.set(*wanted, f.caps.Integrity, 1)
		f.rx.set(*wanted, f.caps.Integrity, 2)
	}
	plain := !wanted.active() && f.tx.held() == 0 && f.rx.held() == 0
	if f.plain && !plain && f.innerTaken > 0 {
		// Payloads on their way were counted together with inner's.
		f.completed = f.completedPlain()
		f.sent = append(f.sent, sentRun{f.innerTaken, f.taken})
	}
	if plain && !f.plain {
		f.Completed()
		plain = len(f.sent) == 0
	}
	f.plain = plain
}

// asBefore says that there is nothing to obey and nothing to do but to pass on.
func (f *Fault) asBefore() bool { return f.plain && f.wanted.Load() == f.obeyed }

// sentRun relates inner's count of packets to the owner's, after a run of
// untouched packets.
type sentRun struct{ inner, outer uint64 }

// lent is what was given to the owner by Recv under a handle of ours: a copy, or a
// packet whose handle by inner could be taken for one of ours.
type lent struct {
	handle uint64 // inner's
	copy   []byte
	ours   bool
}

// Dial implements [Dialer].
func (f *Fault) Dial(addr netip.AddrPort) (Route, error) { return Dial(f.Transport, addr) }

// BindThread implements [ThreadBinder].
func (f *Fault) BindThread() (release func(), err error) { return BindThread(f.Transport) }

// NextUnreachable implements [UnreachableReporter], if inner does.
func (f *Fault) NextUnreachable() (u Unreachable, ok bool) {
	if r, reports := f.Transport.(UnreachableReporter); reports {
		return r.NextUnreachable()
	}
	return u, false
}

// now reads the clock, where time decides anything.
func (f *Fault) now() time.Duration {
	if f.obeyed.Delay > 0 || f.obeyed.Reorder > 0 || f.tx.held() > 0 || f.rx.held() > 0 {
		return f.clock()
	}
	return 0
}

// Reserve implements [Transport].
func (f *Fault) Reserve(pkts []TxPacket) int {
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
func (f *Fault) unlend(head []byte) {
	f.heads = append(f.heads, head[:f.caps.MaxPayload])
}

// Send implements [Transport].
func (f *Fault) Send(pkts []TxPacket) (int, error) {
	if f.asBefore() {
		n, err := f.Transport.Send(pkts)
		f.innerTaken += uint64(n)
		f.taken += uint64(n)
		return n, err
	}
	f.obey()
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

func (f *Fault) tooLarge(p *TxPacket) bool {
	return len(p.Head)+len(p.Payload) > f.caps.MaxPayload
}

// sendRun sends the owner's packets as they are.
func (f *Fault) sendRun(pkts []TxPacket) (int, error) {
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
func (f *Fault) Completed() uint64 {
	if f.plain {
		return f.completedPlain()
	}
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

// completedPlain is Completed while each packet that inner takes is one of the
// owner's.
func (f *Fault) completedPlain() uint64 { return f.Transport.Completed() + f.taken - f.innerTaken }

// pump sends the copies that are due, as far as inner has room.
func (f *Fault) pump(now time.Duration) error {
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
func (f *Fault) Forget(r Route) {
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

// Recv implements [Transport].
func (f *Fault) Recv(pkts []RxPacket) (int, error) {
	if f.asBefore() {
		n, err := f.Transport.Recv(pkts)
		for i := range pkts[:n] {
			f.keepHandle(&pkts[i])
		}
		return n, err
	}
	f.obey()
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
			f.keepHandle(&p)
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
func (f *Fault) deliver(pkts []RxPacket, n int, now time.Duration) int {
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

// keepHandle leaves a packet its handle, unless it looks like one of ours.
func (f *Fault) keepHandle(p *RxPacket) {
	if p.Handle&ours != 0 {
		p.Handle = f.lend(lent{handle: p.Handle})
	}
}

// lend enters what Recv returns in the table, and returns its handle.
func (f *Fault) lend(l lent) uint64 {
	if last := len(f.lentFree) - 1; last >= 0 {
		index := f.lentFree[last]
		f.lentFree = f.lentFree[:last]
		f.lent[index] = l
		return ours | index
	}
	f.lent = append(f.lent, l)
	return ours | uint64(len(f.lent)-1)
}

// Release implements [Transport].
func (f *Fault) Release(pkts []RxPacket) {
	run := 0 // the first of inner's not given back yet
	for i := range pkts {
		if pkts[i].Handle&ours == 0 {
			continue
		}
		index := pkts[i].Handle &^ ours
		l := f.lent[index]
		f.lent[index] = lent{}
		f.lentFree = append(f.lentFree, index)
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

// Wait implements [Transport].
func (f *Fault) Wait(timeout time.Duration) error {
	if f.plain {
		return f.Transport.Wait(timeout)
	}
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

// Caps implements [Transport].
func (f *Fault) Caps() Caps { return f.caps }

// Stats implements [Transport].
func (f *Fault) Stats() Stats {
	s := f.Transport.Stats()
	s.FaultsApplied += f.applied.Load()
	return s
}
