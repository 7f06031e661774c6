package conformance

import (
	"bytes"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// reports says whether the near side hears of what the far side's host refuses.
func reports(f Factory, near, _ transport.Caps) bool { return f.Refuses }

// nobody is a port of the far side's address that it does not have.
func (p *pair) nobody() netip.AddrPort {
	usual := dialable(p.far)
	return netip.AddrPortFrom(usual.Addr(), usual.Port()^0x4000|1)
}

// hears waits for the next report.
func (e *end) hears() transport.Unreachable {
	e.t.Helper()
	reporter, ok := e.Transport.(transport.UnreachableReporter)
	require.True(e.t, ok, "the factory says that the near side is an UnreachableReporter")
	rx := make([]transport.RxPacket, 1)
	for late := expires(); ; {
		if u, ok := reporter.NextUnreachable(); ok {
			return u
		}
		require.False(e.t, late(), "NextUnreachable takes the oldest report: there is none: %+v", e.Stats())
		require.Zero(e.t, e.recv(rx), "nobody answers")
		e.wait(patience)
	}
}

func whatNobodyReceivesIsReported(t *testing.T, p *pair) {
	usual := p.near.peer
	nobody, err := p.near.Resolve(p.nobody(), netip.Addr{})
	require.NoError(t, err)
	// Hosts send few of these in a row.
	for _, d := range []datagram{headed([]byte("anybody?")), {bytes: pattern(7, 900), head: 20}} {
		p.near.peer = nobody
		p.near.send(d)
		u := p.near.hears()
		require.Equal(t, p.nobody(), u.To, "To is where the datagram was going")
		require.ErrorIs(t, u.Err, syscall.ECONNREFUSED, "where the host is there and nobody listens at the port")
		require.True(t, bytes.HasPrefix(d.bytes, u.Data), "Data is what came back of the datagram's payload, from its first byte")
		p.near.peer = usual
		requireCarried(p.near, p.far, numbered(3, 50), 3)
	}
}

// aDeadRouteCostsOthersNothing mixes what nobody receives with what somebody does:
// reports arrive between any two packets, and while the sender receives.
func aDeadRouteCostsOthersNothing(t *testing.T, p *pair) {
	nobody, err := p.near.Resolve(p.nobody(), netip.Addr{})
	require.NoError(t, err)
	for round := range 50 {
		ds := numbered(3, 60+round)
		pkts := p.near.reserve(2 * len(ds))
		for i := range pkts {
			pkts[i].Route = p.near.peer
			if i%2 == 0 {
				pkts[i].Route = nobody
			}
			pkts[i].Head = pkts[i].Head[:copy(pkts[i].Head, ds[i/2].bytes)]
		}
		p.near.push(pkts)
		got := p.far.receive(len(ds))
		requireSame(t, ds, contents(got))
		p.far.Release(got)
		requireCarried(p.far, p.near, numbered(3, 70), 3)
	}
	p.near.requireCompleted(p.near.taken)
}
