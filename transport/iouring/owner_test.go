//go:build linux

package iouring

import (
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// owner is a transport whose owner's calls are all made by one locked thread, on
// behalf of whoever calls: what a loop is, for callers on many threads.
type owner struct {
	transport.Transport
	calls chan func()
	over  chan struct{}

	closing sync.Once
	err     error
}

func newOwner(tr transport.Transport) *owner {
	o := &owner{Transport: tr, calls: make(chan func()), over: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		for {
			select {
			case call := <-o.calls:
				call()
			case <-o.over:
				return
			}
		}
	}()
	return o
}

// do has the thread call f; once it has ended, anybody may.
func (o *owner) do(f func() error) (err error) {
	done := make(chan struct{})
	select {
	case o.calls <- func() {
		err = f()
		close(done)
	}:
		<-done
	case <-o.over:
		err = f()
	}
	return err
}

func (o *owner) NextUnreachable() (u transport.Unreachable, ok bool) {
	_ = o.do(func() error {
		u, ok = o.Transport.(transport.UnreachableReporter).NextUnreachable()
		return nil
	})
	return u, ok
}

func (o *owner) Resolve(addr netip.AddrPort, source netip.Addr) (r transport.Route, err error) {
	err = o.do(func() error { r, err = o.Transport.Resolve(addr, source); return err })
	return r, err
}

func (o *owner) Forget(r transport.Route) {
	_ = o.do(func() error { o.Transport.Forget(r); return nil })
}

func (o *owner) Reserve(pkts []transport.TxPacket) (n int) {
	_ = o.do(func() error { n = o.Transport.Reserve(pkts); return nil })
	return n
}

func (o *owner) Send(pkts []transport.TxPacket) (n int, err error) {
	err = o.do(func() error { n, err = o.Transport.Send(pkts); return err })
	return n, err
}

func (o *owner) Completed() (n uint64) {
	_ = o.do(func() error { n = o.Transport.Completed(); return nil })
	return n
}

func (o *owner) Recv(pkts []transport.RxPacket) (n int, err error) {
	err = o.do(func() error { n, err = o.Transport.Recv(pkts); return err })
	return n, err
}

func (o *owner) Release(pkts []transport.RxPacket) {
	_ = o.do(func() error { o.Transport.Release(pkts); return nil })
}

func (o *owner) Wait(timeout time.Duration) error {
	return o.do(func() error { return o.Transport.Wait(timeout) })
}

// Close closes on the thread, unless that is in Wait.
func (o *owner) Close() error {
	o.closing.Do(func() {
		closed := make(chan error, 1)
		end := func() { closed <- o.Transport.Close() }
		select {
		case o.calls <- end:
		case <-time.After(5 * time.Millisecond):
			end()
		}
		o.err = <-closed
		close(o.over)
	})
	return o.err
}
