package netstack

import (
	"container/heap"
	"container/list"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"
)

// When neighbours are asked, in nanoseconds.
//
// RFC 1122 (section 2.3.2.1) and RFC 4861 (section 10) ask once a second. So do
// we, but for the first three requests: a first datagram waits for the answer,
// and links come up late.
const (
	firstRetry = int64(100 * time.Millisecond)
	retry      = int64(time.Second)
	// reachable is how long an answer is good for (RFC 4861: REACHABLE_TIME).
	reachable = int64(30 * time.Second)
)

const (
	// quickTries is how many requests come firstRetry apart; later, how many go
	// to the MAC that a neighbour last had before everybody is asked.
	quickTries = 3
	// maxNeighbours bounds the table.
	maxNeighbours = 4096
	// maxSolicitations bounds what one Tick emits.
	maxSolicitations = 64
)

// Neighbour is a station on the link. A MAC once learnt is used until the
// neighbour has another: that it does not answer ARP may mean that it is dead, or
// not, and a dead one hurts nobody.
type Neighbour struct {
	addr netip.Addr
	mac  atomic.Uint64 // 0: not known

	refs  int
	tries int   // requests since the last answer
	due   int64 // when the next may be sent
	index int   // in neighbours.used
	place *list.Element
}

// MAC returns the Ethernet address, unless it is not known yet. Any goroutine may
// call it.
func (n *Neighbour) MAC() (mac MAC, known bool) {
	v := n.mac.Load()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	return MAC(b[2:]), v != 0
}

func (n *Neighbour) setMAC(mac MAC) {
	n.mac.Store(uint64(binary.BigEndian.Uint16(mac[:]))<<32 | uint64(binary.BigEndian.Uint32(mac[2:])))
}

// Tick asks for neighbours that are due: those in use whose MAC is not known, or
// whose last answer is 30 s old. Whoever polls calls it about every 10 to 100 ms.
// now is in nanoseconds.
func (s *Stack) Tick(now int64, emit func(frame []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range maxSolicitations {
		n := s.neighbours.next()
		if n == nil || n.due > now {
			return
		}
		s.solicit(now, n, emit)
	}
}

// solicit asks where n is.
func (s *Stack) solicit(now int64, n *Neighbour, emit func(frame []byte)) {
	mac, known := n.MAC()
	to := broadcast
	if known && n.tries < quickTries {
		to = mac
	}
	from := s.source(n.addr)
	if !from.IsValid() { // a gateway outside of our networks
		from = s.first(n.addr)
	}
	if n.addr.Is4() {
		s.sendARP(arpRequest, to, from, MAC{}, n.addr, emit)
	} else {
		s.sendSolicitation(to, from, n.addr, emit)
	}
	s.counters.Solicitations++

	n.tries++
	wait := retry
	if !known && n.tries < quickTries {
		wait = firstRetry
	}
	s.neighbours.schedule(n, now+wait)
}

// learn notes that n was heard of at mac.
func (s *Stack) learn(now int64, n *Neighbour, mac MAC) {
	if old, known := n.MAC(); !known || old != mac {
		n.setMAC(mac)
		s.generation.Add(1)
	}
	n.tries = 0
	s.neighbours.schedule(n, now+reachable)
	s.neighbours.touch(n)
}

// neighbours is a bounded table. Those in use wait in a heap for when they are to
// be asked; the others in a list, the first to be thrown out in front.
type neighbours struct {
	table map[netip.Addr]*Neighbour
	used  agenda
	idle  list.List
}

func (t *neighbours) init() { t.table = make(map[netip.Addr]*Neighbour) }

// get returns the neighbour at addr, new if need be, or nil if there is no room.
func (t *neighbours) get(now int64, addr netip.Addr) *Neighbour {
	if n := t.table[addr]; n != nil {
		return n
	}
	if len(t.table) >= maxNeighbours {
		oldest := t.idle.Front()
		if oldest == nil {
			return nil
		}
		delete(t.table, t.idle.Remove(oldest).(*Neighbour).addr)
	}
	n := &Neighbour{addr: addr, due: now}
	n.place = t.idle.PushBack(n)
	t.table[addr] = n
	return n
}

// acquire counts one more user of n, and says whether to ask for it.
func (t *neighbours) acquire(now int64, n *Neighbour) (ask bool) {
	n.refs++
	if n.refs > 1 {
		return false
	}
	t.idle.Remove(n.place)
	heap.Push(&t.used, n)
	if n.due > now {
		return false
	}
	n.tries = 0
	return true
}

// release counts one user less. A neighbour whose MAC is not known is thrown out
// first: who makes us ask for strangers must not drive out those that exist (RFC
// 6583, section 7.1).
func (t *neighbours) release(n *Neighbour) {
	if n.refs == 0 {
		return
	}
	n.refs--
	if n.refs > 0 {
		return
	}
	heap.Remove(&t.used, n.index)
	if _, known := n.MAC(); known {
		n.place = t.idle.PushBack(n)
	} else {
		n.place = t.idle.PushFront(n)
	}
}

// touch makes an idle neighbour the last to be thrown out.
func (t *neighbours) touch(n *Neighbour) {
	if n.refs == 0 {
		t.idle.MoveToBack(n.place)
	}
}

// schedule sets when n may be asked next.
func (t *neighbours) schedule(n *Neighbour, due int64) {
	n.due = due
	if n.refs > 0 {
		heap.Fix(&t.used, n.index)
	}
}

// next returns the neighbour in use to be asked first, or nil.
func (t *neighbours) next() *Neighbour {
	if len(t.used) == 0 {
		return nil
	}
	return t.used[0]
}

// agenda is a heap by due.
type agenda []*Neighbour

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due < a[j].due }

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

// Push is called by package heap.
func (a *agenda) Push(x any) {
	n := x.(*Neighbour)
	n.index = len(*a)
	*a = append(*a, n)
}

// Pop is called by package heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	n := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return n
}
