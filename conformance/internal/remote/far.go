package remote

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"net/rpc"
	"sync"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Serve opens transports for the process at the other end of conn, until that
// hangs up. It holds them to their promises on memory: a view that changes
// before it is released is an error of Release, and a payload is cleared as soon
// as it has completed. left says what closed transports have left behind since
// its first call, which comes when the first of them has closed.
func Serve(conn io.ReadWriteCloser, open func(netip.AddrPort) (transport.Transport, error), left func() string) error {
	server := rpc.NewServer()
	if err := server.RegisterName(service, &Far{open: open, left: left, seed: maphash.MakeSeed()}); err != nil {
		return err
	}
	server.ServeConn(conn)
	return nil
}

// service is the name of a Far.
const service = "Far"

// Far is the serving side. Its methods are for net/rpc.
type Far struct {
	open func(netip.AddrPort) (transport.Transport, error)
	left func() string
	seed maphash.Seed

	closed sync.Once

	mu  sync.Mutex
	all []*lender // by ID, from 1
}

// lender is a transport, and what is lent of it. As with any transport, one
// goroutine at a time calls it and uses its fields.
type lender struct {
	transport.Transport
	number    uint64            // of the last head or view
	heads     map[uint64][]byte // reserved
	views     map[uint64]view   // by Handle
	payloads  [][]byte          // not completed
	completed uint64
	closed    atomic.Bool // its memory may be gone
}

// view is a received packet, and a hash of what it was.
type view struct {
	transport.RxPacket
	hash uint64
}

func (f *Far) at(id int) *lender {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[id-1]
}

// Open opens a transport.
func (f *Far) Open(addr netip.AddrPort, reply *Opened) error {
	tr, err := f.open(addr)
	if err != nil {
		reply.Err = failureOf(err)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, &lender{Transport: tr, heads: make(map[uint64][]byte), views: make(map[uint64]view)})
	*reply = Opened{ID: len(f.all), Local: tr.LocalAddr(), Caps: tr.Caps()}
	return nil
}

// Resolve resolves.
func (f *Far) Resolve(args Address, reply *Resolved) error {
	route, err := f.at(args.ID).Resolve(args.Addr, args.Source)
	*reply = Resolved{route, failureOf(err)}
	return nil
}

// Forget forgets.
func (f *Far) Forget(args Route, _ *None) error {
	f.at(args.ID).Forget(args.Route)
	return nil
}

// Reserve reserves heads, and returns their numbers.
func (f *Far) Reserve(args Amount, reply *[]uint64) error {
	l := f.at(args.ID)
	pkts := make([]transport.TxPacket, args.N)
	for _, p := range pkts[:l.Reserve(pkts)] {
		l.number++
		l.heads[l.number] = p.Head
		*reply = append(*reply, l.number)
	}
	return nil
}

// Send fills heads and sends them.
func (f *Far) Send(args Batch, reply *Taken) error {
	l := f.at(args.ID)
	pkts := make([]transport.TxPacket, len(args.Packets))
	for i, p := range args.Packets {
		head, lent := l.heads[p.Number]
		if !lent {
			return errors.New("a head was sent that is not lent")
		}
		head = head[:len(p.Head)]
		if !l.closed.Load() {
			copy(head, p.Head)
		}
		pkts[i] = transport.TxPacket{Route: p.Route, ECN: p.ECN, Head: head, Payload: p.Payload}
	}
	n, err := l.Send(pkts)
	for _, p := range args.Packets[:n] {
		delete(l.heads, p.Number)
		l.payloads = append(l.payloads, p.Payload)
	}
	l.complete()
	*reply = Taken{n, failureOf(err)}
	return nil
}

// Completed counts.
func (f *Far) Completed(id int, reply *uint64) error {
	*reply = f.at(id).complete()
	return nil
}

// complete counts, and clears the payloads that have completed.
func (l *lender) complete() uint64 {
	n := l.Completed()
	for ; l.completed < n && len(l.payloads) > 0; l.completed++ {
		clear(l.payloads[0])
		l.payloads = l.payloads[1:]
	}
	return n
}

// Recv receives.
func (f *Far) Recv(args Amount, reply *Received) error {
	l := f.at(args.ID)
	pkts := make([]transport.RxPacket, args.N)
	n, err := l.Recv(pkts)
	for i := range pkts[:n] {
		l.number++
		l.views[l.number] = view{pkts[i], maphash.Bytes(f.seed, pkts[i].Data)}
		pkts[i].Handle = l.number
	}
	*reply = Received{pkts[:n], failureOf(err)}
	return nil
}

// Release releases views, if they are what they were.
func (f *Far) Release(args Views, _ *None) error {
	l := f.at(args.ID)
	pkts := make([]transport.RxPacket, len(args.Handles))
	for i, handle := range args.Handles {
		v, lent := l.views[handle]
		switch {
		case !lent:
			return errors.New("a view was released twice")
		case !l.closed.Load() && maphash.Bytes(f.seed, v.Data) != v.hash:
			return fmt.Errorf("a view of %d bytes from %v changed before its Release", len(v.Data), v.From)
		}
		delete(l.views, handle)
		pkts[i] = v.RxPacket
	}
	l.Release(pkts)
	return nil
}

// Wait waits.
func (f *Far) Wait(args Timeout, reply *Failure) error {
	*reply = failureOf(f.at(args.ID).Wait(args.Timeout))
	return nil
}

// Wake wakes.
func (f *Far) Wake(id int, _ *None) error {
	f.at(id).Wake()
	return nil
}

// Stats counts.
func (f *Far) Stats(id int, reply *transport.Stats) error {
	*reply = f.at(id).Stats()
	return nil
}

// Close closes.
func (f *Far) Close(id int, reply *Failure) error {
	l := f.at(id)
	l.closed.Store(true)
	*reply = failureOf(l.Close())
	f.closed.Do(func() { f.left() })
	return nil
}

// Left says what closed transports have left behind; "" if nothing.
func (f *Far) Left(_ None, reply *string) error {
	*reply = f.left()
	return nil
}
