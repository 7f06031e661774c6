package transport

import (
	"net/netip"
	"time"
)

// fake is a Transport whose network is a test: it keeps what it is sent, and
// receives what the test puts into inbox.
type fake struct {
	size      int // MaxPayload
	room      int // packets that Send takes before it is full
	inbox     []RxPacket
	outbox    []datagram
	reserved  int
	completed uint64
	released  []uint64 // handles
	waited    []time.Duration
	forgotten []Route
	local     netip.AddrPort
	closed    bool
}

type datagram struct {
	text  string
	route Route
	ecn   ECN
	parts int // 2 where the payload was gathered
}

func newFake() *fake { return &fake{size: 64, room: 1 << 20} }

func (f *fake) arrive(texts ...string) {
	for i, text := range texts {
		f.inbox = append(f.inbox, RxPacket{Data: []byte(text), ECN: CE, Handle: 1000 + uint64(i)})
	}
}

func (f *fake) texts() []string {
	texts := []string{}
	for _, d := range f.outbox {
		texts = append(texts, d.text)
	}
	return texts
}

func (f *fake) Resolve(netip.AddrPort, netip.Addr) (Route, error) { return 7, nil }
func (f *fake) Forget(r Route)                                    { f.forgotten = append(f.forgotten, r) }

func (f *fake) Reserve(pkts []TxPacket) int {
	for i := range pkts {
		pkts[i].Head = make([]byte, f.size)
		f.reserved++
	}
	return len(pkts)
}

func (f *fake) Send(pkts []TxPacket) (int, error) {
	if f.closed {
		return 0, ErrClosed
	}
	n := min(len(pkts), f.room)
	f.room -= n
	f.reserved -= n
	for i, p := range pkts[:n] {
		d := datagram{string(p.Head) + string(p.Payload), p.Route, p.ECN, 1}
		if p.Payload != nil {
			d.parts = 2
		}
		f.outbox = append(f.outbox, d)
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
	return n, nil
}

func (f *fake) Completed() uint64 { return f.completed }

func (f *fake) Recv(pkts []RxPacket) (int, error) {
	if f.closed {
		return 0, ErrClosed
	}
	n := copy(pkts, f.inbox)
	f.inbox = f.inbox[n:]
	return n, nil
}

func (f *fake) Release(pkts []RxPacket) {
	for _, p := range pkts {
		f.released = append(f.released, p.Handle)
	}
}

func (f *fake) Wait(timeout time.Duration) error {
	f.waited = append(f.waited, timeout)
	return nil
}

func (f *fake) Wake()                     {}
func (f *fake) LocalAddr() netip.AddrPort { return f.local }
func (f *fake) Stats() Stats              { return Stats{TxPackets: uint64(len(f.outbox))} }
func (f *fake) Close() error              { f.closed = true; return nil }

func (f *fake) Caps() Caps {
	return Caps{Backend: "fake", MaxPayload: f.size, RxBuffers: 1 << 20, Integrity: true, Notes: []string{"inner"}}
}
