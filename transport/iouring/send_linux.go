package iouring

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/internal/uring"
	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// txHeads is how many Heads can be lent or under way at a time.
	txHeads = 256
	// fewFlights are enough where all completes within a call, manyFlights where
	// buffers may stay out.
	fewFlights, manyFlights = 4, 16
	// txNumbers bounds the packets between the first that has not completed and
	// the last that was taken.
	txNumbers = 4096

	// copiedLimit is after how many zero-copy sends that were copies no more are
	// tried.
	copiedLimit = 32
)

// sender turns packets into messages, and messages into requests.
type sender struct {
	flights []flight
	free    []*flight
	marking udpsock.Marking
	// back are packets that were taken and are to be sent again, before any others.
	back  []parcel
	again [flightPackets]transport.TxPacket
	// forgotten are routes that packets on their way still need, the oldest first.
	forgotten []forgotten

	segment bool // the kernel cuts runs, as far as known
	// stalled says that the socket's buffer is full, and back is not empty; watched,
	// that the kernel was asked to say when there is room.
	stalled, watched bool

	heard bool // of earlier packets, since the latest submission

	// short says that the caller lacked room when completed was shortAt: Wait ends as
	// soon as there is some, also if it is Wait that finds out.
	short   bool
	shortAt uint64

	zeroCopy int // threshold; 0: none
	copies   int // zero-copy sends in a row that were copies

	taken, completed uint64
	done             [txNumbers]bool // by number, from completed on
	broken           error
}

func (t *sender) init(caps transport.Caps, cfg Config) {
	t.flights = make([]flight, fewFlights)
	if cfg.SQPoll || cfg.ZeroCopy > 0 {
		t.flights = make([]flight, manyFlights)
	}
	for i := range t.flights {
		f := &t.flights[i]
		f.index = i
		f.Marking = &t.marking
		f.Init(caps)
		t.free = append(t.free, f)
	}
	t.segment = caps.SegmentTx
	t.zeroCopy = cfg.ZeroCopy
}

// Send implements [transport.Transport].
func (q *queue) Send(pkts []transport.TxPacket) (taken int, err error) {
	if q.closed.Load() {
		return 0, q.gone()
	}
	t := &q.tx
	before := q.ring.Enters
	if q.async() && q.ring.Arrived() {
		q.reap()
	}
	if len(t.free) == len(t.flights) {
		t.marking.Follow(q.sock) // the kernel has nothing that was built before
	}
	err = q.sendBack()
	for err == nil && taken < len(pkts) && !t.stalled {
		n := 0
		for n < len(pkts)-taken && q.room() {
			n += q.load(pkts[taken+n:])
		}
		if n == 0 {
			break // no flight is free
		}
		taken += n
		if err = q.depart(); err == nil {
			err = q.sendBack()
		}
	}
	if taken < len(pkts) {
		t.lack()
	}
	if len(t.free) < len(t.flights) {
		for i := range t.flights {
			if f := &t.flights[i]; f.out > 0 {
				f.keep()
			}
		}
	}
	calls := q.ring.Enters - before
	if q.mode == poller && taken > 0 {
		calls = 1 // none, but a burst
	}
	if calls > 0 {
		q.stats.TxCalls.Add(calls)
	}
	if err == nil {
		err = t.broken
	}
	return taken, err
}

// lack notes that the caller could not go on.
func (t *sender) lack() { t.short, t.shortAt = true, t.completed }

// relieved tells, once, that what the caller lacked may be there.
func (t *sender) relieved() bool {
	if !t.short || t.completed == t.shortAt {
		return false
	}
	t.short = false
	return true
}

// depart submits sends, and with them a look at what has arrived meanwhile, where that
// was worth it the last time.
func (q *queue) depart() error {
	r := &q.rx
	along, before := r.follows && r.out == none, r.count
	if along {
		r.ask(&q.rig, false)
	}
	err := q.submit()
	if along {
		r.follows = r.count > before
		r.found = r.follows
	}
	r.sent = !along
	return err
}

// room tells whether a flight can be loaded and submitted.
func (q *queue) room() bool {
	t := &q.tx
	return len(t.free) > 0 && q.ring.Room() > udpsock.MaxMessages && t.taken-t.completed < txNumbers-flightPackets
}

// load makes a flight of packets at the front and queues its requests. It returns
// how many it took, of which the first may have been dropped.
func (q *queue) load(pkts []transport.TxPacket) (n int) {
	t := &q.tx
	pkts = pkts[:min(len(pkts), flightPackets)]
	f := t.free[len(t.free)-1]
	messages := f.Build(pkts, &q.sock.Routes, t.segment)
	if messages == 0 {
		// Not worth a request: the kernel would answer the same.
		q.drop(&pkts[0], t.taken)
		t.taken++
		t.complete(t.taken-1, 1)
		return 1
	}
	for i := range messages {
		n += f.Runs[i].Packets
	}
	f.pkts, f.cargo, f.number = pkts[:n], nil, t.taken
	t.taken += uint64(n)
	q.launch(f, messages)
	return n
}

// launch queues the requests of a flight that is built and has its packets.
func (q *queue) launch(f *flight, messages int) {
	t := &q.tx
	t.free = t.free[:len(t.free)-1]
	at := 0
	for i := range messages {
		f.first[i], f.awaited[i], f.moved[i] = at, true, false
		at += f.Runs[i].Packets
		f.prepare(q.ring.Next(), i, q.zeroCopy())
		if q.mode == poller {
			// Its completion is seen some time after the peer has the datagram.
			q.countSent(f.Runs[i])
		}
	}
	f.out = messages
}

// zeroCopy is the threshold in use. The kernel's word that memory is free comes to
// a thread, so there has to be one.
func (q *queue) zeroCopy() int {
	if q.mode == anyThread {
		return 0
	}
	return q.tx.zeroCopy
}

// drop ends a packet that cannot be sent.
func (q *queue) drop(p *transport.TxPacket, number uint64) {
	if len(p.Head)+len(p.Payload) > q.sock.Caps.MaxPayload {
		q.stats.TxTooLarge.Add(1)
	} else {
		q.stats.TxRefused.Add(1)
	}
	q.heads.Take([]transport.TxPacket{*p})
	p.Head, p.Payload = nil, nil
}

// flight is what a completion is about, or nil if that is not awaited.
func (t *sender) flight(data uint64) (f *flight, message int) {
	at, message := data>>8&0xff, int(data&0xff)
	if at >= uint64(len(t.flights)) || message >= udpsock.MaxMessages {
		return nil, 0
	}
	if f = &t.flights[at]; !f.awaited[message] {
		return nil, 0
	}
	return f, message
}

// sent takes in a completion.
func (q *queue) sent(e *uring.CQE) {
	t := &q.tx
	f, i := t.flight(e.UserData)
	if f == nil {
		return
	}
	run := f.Runs[i]
	last := e.Flags&(uring.CQEMore|uring.CQENotif) != uring.CQEMore // or its memory is still out
	f.awaited[i] = !last
	switch {
	case e.Flags&uring.CQENotif != 0:
		q.notified(e)
		if !f.moved[i] {
			q.settle(f, i)
		}
	case f.moved[i]:
	case e.Result >= 0:
		if q.mode != poller {
			q.countSent(run)
		}
		if f.of(f.first[i]).lacked {
			t.segment = false // it goes alone, and not as a part of a run
		}
		if last {
			q.settle(f, i)
		}
	default:
		q.refused(f, i, unix.Errno(-e.Result))
	}
	if last {
		if f.out--; f.out == 0 {
			q.land(f)
		}
	}
}

// land makes a flight free.
func (q *queue) land(f *flight) {
	f.Clear()
	f.pkts = nil
	q.tx.free = append(q.tx.free, f)
}

// abandon ends a flight whose completions will not come.
func (q *queue) abandon(f *flight) {
	for i, at := 0, 0; at < len(f.pkts); i++ {
		if !f.moved[i] && f.pkts[at].Head != nil {
			q.settle(f, i)
		}
		at += f.Runs[i].Packets
	}
	f.out = 0
	clear(f.awaited[:])
	q.land(f)
}

func (q *queue) countSent(r udpsock.Run) {
	q.stats.TxPackets.Add(uint64(r.Packets))
	q.stats.TxBytes.Add(uint64(r.Bytes))
}

// settle ends the packets of a message.
func (q *queue) settle(f *flight, i int) {
	a, b := f.first[i], f.first[i]+f.Runs[i].Packets
	q.heads.Take(f.pkts[a:b])
	if f.cargo == nil {
		q.tx.complete(f.number+uint64(a), uint64(b-a))
		return
	}
	for j := a; j < b; j++ {
		q.tx.complete(f.cargo[j].number, 1)
	}
}

// complete notes that the memory of n packets is its owner's again.
func (t *sender) complete(number, n uint64) {
	if number == t.completed {
		t.completed += n
	} else {
		for i := range n {
			t.done[(number+i)%txNumbers] = true
		}
	}
	for t.completed < t.taken && t.done[t.completed%txNumbers] {
		t.done[t.completed%txNumbers] = false
		t.completed++
	}
}

// ownFault tells whether nothing was heard of earlier packets that a message of the
// latest submission may have failed for.
func (q *queue) ownFault() bool {
	q.hear()
	return !q.tx.heard
}

// lose ends the packets of a message that is not sent, and counts them.
func (q *queue) lose(f *flight, i int, cause *atomic.Uint64) {
	cause.Add(uint64(f.Runs[i].Packets))
	q.settle(f, i)
	f.moved[i] = true
}

// refused decides on a message that the kernel did not take.
func (q *queue) refused(f *flight, i int, errno unix.Errno) {
	t := &q.tx
	run := f.Runs[i]
	tries := f.of(f.first[i]).tries
	if q.mode == poller {
		q.stats.unsentPackets.Add(uint64(run.Packets))
		q.stats.unsentBytes.Add(uint64(run.Bytes))
	}
	change := func(*cargo) {}
	switch {
	case errno == unix.EAGAIN:
		t.stalled = true
	case f.lent[i] && (errno == unix.ENOMEM || errno == unix.ENOBUFS || errno == unix.EINVAL || errno == unix.EOPNOTSUPP || errno == unix.EMSGSIZE):
		// Over the limit of locked memory, a kernel that does not report its usage, or
		// over the limit of pieces, which concerns this message only.
		if errno != unix.EMSGSIZE {
			t.zeroCopy = 0
		}
		change = func(c *cargo) { c.copied = true }
	case run.Packets > 1 && (errno == unix.EMSGSIZE || udpsock.LacksSegmentation(errno)):
		change = func(c *cargo) { c.plain, c.lacked = true, errno != unix.EMSGSIZE }
	case errno == unix.EMSGSIZE:
		q.lose(f, i, &q.stats.TxTooLarge)
		return
	case errno == unix.EBADF || errno == unix.ENOTSOCK:
		t.broken = fmt.Errorf("iouring: the socket is gone: %w", errno)
		q.lose(f, i, &q.stats.TxRefused)
		return
	case q.ownFault() && tries > 0 || tries == maxTries:
		q.sock.Undeliverable(&f.pkts[f.first[i]], errno)
		q.lose(f, i, &q.stats.TxRefused)
		return
	default:
		// An ICMP message about an earlier packet is reported once, by whichever
		// message comes next: of several that failed together, who knows.
		change = func(c *cargo) { c.tries++ }
	}
	for j := f.first[i]; j < f.first[i]+run.Packets; j++ {
		c := f.of(j)
		change(&c)
		t.back = append(t.back, parcel{f.pkts[j], c})
		f.pkts[j].Head, f.pkts[j].Payload = nil, nil
	}
	f.moved[i] = true
}

// sendBack sends again what is to be, until nothing is, or the socket's buffer is
// full, or no flight is free.
func (q *queue) sendBack() error {
	t := &q.tx
	if len(t.back) == 0 {
		return nil
	}
	t.stalled = false
	for len(t.back) > 0 && !t.stalled && q.room() {
		plain, n := t.back[0].plain, 0
		for n < min(len(t.back), flightPackets) && t.back[n].plain == plain {
			t.again[n] = t.back[n].TxPacket
			n++
		}
		f := t.free[len(t.free)-1]
		messages := f.Build(t.again[:n], &q.sock.Routes, t.segment && !plain)
		clear(t.again[:n])
		n = 0
		for i := range messages {
			n += f.Runs[i].Packets
		}
		if messages == 0 {
			// Its route was forgotten meanwhile.
			q.drop(&t.back[0].TxPacket, t.back[0].number)
			t.complete(t.back[0].number, 1)
			n = 1
		} else {
			f.cargo = f.cargo[:0]
			for i := range n {
				f.kept[i] = t.back[i].TxPacket
				f.cargo = append(f.cargo, t.back[i].cargo)
			}
			f.pkts = f.kept[:n]
			q.launch(f, messages)
		}
		rest := copy(t.back, t.back[n:])
		clear(t.back[rest:])
		t.back = t.back[:rest]
		if err := q.submit(); err != nil {
			return err
		}
	}
	return nil
}

// notified takes in what became of a zero-copy send.
func (q *queue) notified(e *uring.CQE) {
	t := &q.tx
	if uint32(e.Result)&uring.Copied == 0 {
		q.stats.zeroCopied.Add(1)
		t.copies = 0
		return
	}
	q.stats.copied.Add(1)
	if t.copies++; t.copies >= copiedLimit {
		t.zeroCopy = 0 // this path copies, and asking costs more than not
	}
}
