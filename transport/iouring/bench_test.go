//go:build linux

package iouring

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/udp"
)

// BenchmarkEcho is both ends on one thread, of this backend and of plain UDP: the
// cost of the system calls of both, without any waiting. An operation is a packet
// there and back. Compare the best of several runs.
func BenchmarkEcho(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		for _, offload := range []bool{false, true} {
			for _, url := range []string{"udp", "iouring", "iouring bound"} {
				b.Run(fmt.Sprintf("%d packets, offload %v, %s", n, offload, url), func(b *testing.B) {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					e := newEcho(b, url, n, offload)
					b.ReportAllocs()
					b.ResetTimer()
					for i := 0; i < b.N; i += n {
						e.round(b)
					}
				})
			}
		}
	}
}

// BenchmarkLook is a Recv that finds nothing: an answer waits for the end of one, and
// half of it on the average.
func BenchmarkLook(b *testing.B) {
	for _, url := range []string{"udp", "iouring", "iouring bound"} {
		b.Run(url, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			near := newEcho(b, url, 1, true).ends[0]
			rx := make([]transport.RxPacket, 1)
			for b.Loop() {
				if q, ok := near.(*queue); ok {
					q.rx.vain = 0 // or the kernel is told to tell
				}
				if n, err := near.Recv(rx); n != 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// echo bounces batches of 48-byte datagrams between two transports.
type echo struct {
	ends   [2]transport.Transport
	routes [2]transport.Route
	tx     []transport.TxPacket
	rx     []transport.RxPacket
}

func newEcho(b *testing.B, kind string, n int, offload bool) *echo {
	var name string
	_, _ = fmt.Sscan(kind, &name)
	e := &echo{tx: make([]transport.TxPacket, n), rx: make([]transport.RxPacket, n)}
	for i := range e.ends {
		tr, err := transport.Open(fmt.Sprintf("%s://127.0.0.1:0?segment=%v&gro=%v", name, offload, offload))
		if err != nil {
			b.Skip(err)
		}
		b.Cleanup(func() { _ = tr.Close() })
		e.ends[i] = tr
		if kind != name {
			if _, err := transport.BindThread(tr); err != nil {
				b.Skip(err)
			}
		}
	}
	for i := range e.ends {
		var err error
		if e.routes[i], err = e.ends[i].Resolve(e.ends[1-i].LocalAddr(), netip.Addr{}); err != nil {
			b.Fatal(err)
		}
	}
	return e
}

func (e *echo) round(b *testing.B) {
	for from := range e.ends {
		near, far := e.ends[from], e.ends[1-from]
		if n := near.Reserve(e.tx); n != len(e.tx) {
			b.Fatalf("%d of %d buffers", n, len(e.tx))
		}
		for i := range e.tx {
			e.tx[i].Route, e.tx[i].Head, e.tx[i].ECN = e.routes[from], e.tx[i].Head[:48], transport.ECT0
		}
		if n, err := near.Send(e.tx); n != len(e.tx) || err != nil {
			b.Fatal(n, err)
		}
		for have := 0; have < len(e.tx); {
			n, err := far.Recv(e.rx)
			if err != nil {
				b.Fatal(err)
			}
			if n == 0 {
				if err := far.Wait(time.Second); err != nil {
					b.Fatal(err)
				}
			}
			far.Release(e.rx[:n])
			have += n
		}
	}
}
