package conformance

import (
	"bytes"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

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

// hears sends to nobody until it is reported. Hosts limit how often they say so,
// and may have said it to an earlier story.
func (e *end) hears(d datagram) transport.Unreachable {
	e.t.Helper()
	reporter, ok := e.Transport.(transport.UnreachableReporter)
	require.True(e.t, ok, "the factory says that the near side is an UnreachableReporter")
	rx := make([]transport.RxPacket, 1)
	for late := expires(); ; {
		e.send(d)
		for again := time.Now().Add(time.Second); time.Now().Before(again); {
			if u, ok := reporter.NextUnreachable(); ok {
				return u
			}
			require.Zero(e.t, e.recv(rx), "nobody answers")
			e.wait(time.Second)
		}
		require.False(e.t, late(), "NextUnreachable takes the oldest report: there is none: %+v", e.Stats())
	}
}

func whatNobodyReceivesIsReported(t *testing.T, p *pair) {
	usual := p.near.peer
	nobody, err := p.near.Resolve(p.nobody(), netip.Addr{})
	require.NoError(t, err)
	ds := []datagram{headed([]byte("anybody?")), {bytes: pattern(7, 900), head: 20}}
	for _, d := range ds {
		p.near.peer = nobody
		u := p.near.hears(d)
		require.Equal(t, p.nobody(), u.To, "To is where the datagram was going")
		require.ErrorIs(t, u.Err, syscall.ECONNREFUSED, "where the host is there and nobody listens at the port")
		quotes := slices.ContainsFunc(ds, func(d datagram) bool { return bytes.HasPrefix(d.bytes, u.Data) })
		require.True(t, quotes, "Data is what came back of the datagram's payload, from its first byte")
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
		got := make([]transport.RxPacket, len(ds))
		have := 0
		for late := expires(); have < len(ds); {
			k := p.far.recv(got[have:])
			if have += k; k == 0 {
				require.False(t, late(), "%d of %d datagrams have arrived: sender %+v", have, len(ds), p.near.Stats())
				p.far.wait(time.Millisecond)
				p.near.wait(0) // lets it find out what is to be sent again
				require.Zero(t, p.near.recv(make([]transport.RxPacket, 1)))
			}
		}
		requireSame(t, ds, contents(got))
		p.far.Release(got)
		requireCarried(p.far, p.near, numbered(3, 70), 3)
	}
	p.near.requireCompleted(p.near.taken)
}
