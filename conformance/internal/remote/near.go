package remote

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/rpc"
	"sync"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Near is the side that is served. Any goroutine may call its methods.
type Near struct {
	client *rpc.Client

	mu     sync.Mutex
	broken error
}

// New returns the side served by the process at the other end of conn.
func New(conn io.ReadWriteCloser) *Near { return &Near{client: rpc.NewClient(conn)} }

// Close hangs up: the other process ends.
func (n *Near) Close() error { return n.client.Close() }

// Broken returns, once, what went wrong between the two processes first, or
// which promise on memory the other found broken. Most methods of a transport
// cannot say so.
func (n *Near) Broken() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.broken
	n.broken = nil
	return err
}

func (n *Near) call(method string, args, reply any) error {
	err := n.client.Call(service+"."+method, args, reply)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("the other process: %s: %w", method, err)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken == nil {
		n.broken = err
	}
	return err
}

// Left says what closed transports have left in the other process; "" if
// nothing. No transport may be open.
func (n *Near) Left() (left string) {
	if err := n.call("Left", None{}, &left); err != nil {
		return err.Error()
	}
	return left
}

// Open opens a transport in the other process. An invalid addr is any.
func (n *Near) Open(addr netip.AddrPort) (transport.Transport, error) {
	var o Opened
	if err := errors.Join(n.call("Open", addr, &o), o.Err.error()); err != nil {
		return nil, err
	}
	return &borrower{Near: n, opened: o, lent: make(map[*byte]uint64)}, nil
}

// borrower is the other process's transport in this one.
type borrower struct {
	*Near
	opened Opened
	lent   map[*byte]uint64 // numbers of Heads, by their first byte
	spare  [][]byte         // Heads that are not lent
}

func (b *borrower) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	var reply Resolved
	err := b.call("Resolve", Address{b.opened.ID, addr, source}, &reply)
	return reply.Route, errors.Join(err, reply.Err.error())
}

func (b *borrower) Forget(route transport.Route) {
	_ = b.call("Forget", Route{b.opened.ID, route}, &None{})
}

func (b *borrower) Reserve(pkts []transport.TxPacket) int {
	var numbers []uint64
	_ = b.call("Reserve", Amount{b.opened.ID, len(pkts)}, &numbers)
	for i, number := range numbers {
		pkts[i].Head = b.head()
		b.lent[first(pkts[i].Head)] = number
	}
	return len(numbers)
}

func (b *borrower) head() []byte {
	last := len(b.spare) - 1
	if last < 0 {
		return make([]byte, b.opened.Caps.MaxPayload)
	}
	head := b.spare[last]
	b.spare = b.spare[:last]
	return head
}

// first is the byte by which a head is known, also when it is empty.
func first(head []byte) *byte { return &head[:1][0] }

func (b *borrower) Send(pkts []transport.TxPacket) (int, error) {
	args := Batch{b.opened.ID, make([]Outgoing, len(pkts))}
	for i, p := range pkts {
		args.Packets[i] = Outgoing{b.lent[first(p.Head)], p.Route, p.ECN, p.Head, p.Payload}
	}
	var reply Taken
	err := b.call("Send", args, &reply)
	for i := range pkts[:reply.N] {
		head := pkts[i].Head
		delete(b.lent, first(head))
		b.spare = append(b.spare, head[:cap(head)])
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
	return reply.N, errors.Join(err, reply.Err.error())
}

func (b *borrower) Completed() (n uint64) {
	_ = b.call("Completed", b.opened.ID, &n)
	return n
}

func (b *borrower) Recv(pkts []transport.RxPacket) (int, error) {
	var reply Received
	err := b.call("Recv", Amount{b.opened.ID, len(pkts)}, &reply)
	return copy(pkts, reply.Packets), errors.Join(err, reply.Err.error())
}

func (b *borrower) Release(pkts []transport.RxPacket) {
	handles := make([]uint64, len(pkts))
	for i := range pkts {
		handles[i] = pkts[i].Handle
	}
	_ = b.call("Release", Views{b.opened.ID, handles}, &None{})
}

func (b *borrower) Wait(timeout time.Duration) error {
	var reply Failure
	err := b.call("Wait", Timeout{b.opened.ID, timeout}, &reply)
	return errors.Join(err, reply.error())
}

func (b *borrower) Wake() { _ = b.call("Wake", b.opened.ID, &None{}) }

func (b *borrower) LocalAddr() netip.AddrPort { return b.opened.Local }

func (b *borrower) Caps() transport.Caps { return b.opened.Caps }

func (b *borrower) Stats() (s transport.Stats) {
	_ = b.call("Stats", b.opened.ID, &s)
	return s
}

func (b *borrower) Close() error {
	var reply Failure
	err := b.call("Close", b.opened.ID, &reply)
	return errors.Join(err, reply.error())
}
