package iouring

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// heard waits for a report, as an owner does.
func heard(t *testing.T, tr transport.Transport) transport.Unreachable {
	t.Helper()
	for end := time.Now().Add(transporttest.Patience); ; {
		if u, ok := inside(tr).NextUnreachable(); ok {
			return u
		}
		require.True(t, time.Now().Before(end), "nothing was reported")
		n, err := tr.Recv(make([]transport.RxPacket, 1))
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, tr.Wait(time.Second))
	}
}

func TestAPortWhereNobodyListensIsReported(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, to := v.at(t, loopback), transporttest.Dead(t, "127.0.0.1")
		r, err := a.Resolve(to, netip.Addr{})
		require.NoError(t, err)
		for _, texts := range [][]string{{"anybody?"}, transporttest.Numbered(10, 100), {strings.Repeat("long", 300)}} {
			transporttest.Send(t, a, r, texts...)
			u := heard(t, a)
			require.Equal(t, to, u.To)
			require.ErrorIs(t, u.Err, syscall.ECONNREFUSED)
			require.NotEmpty(t, u.Data)
			require.True(t, strings.HasPrefix(strings.Join(texts, ""), string(u.Data)), "it is quoted from its first byte")
			for ok := true; ok; {
				_, err := a.Recv(make([]transport.RxPacket, 1))
				require.NoError(t, err)
				_, ok = inside(a).NextUnreachable()
			}
		}
		require.Zero(t, a.Stats().TxRefused)
	})
}

func TestADeadPeerCostsTheOthersNothing(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback)
		nobody, err := a.Resolve(transporttest.Dead(t, "127.0.0.1"), netip.Addr{})
		require.NoError(t, err)
		somebody, back := transporttest.To(t, a, b), transporttest.To(t, b, a)
		for round := range uint64(50) {
			// In one batch by turns.
			pkts := make([]transport.TxPacket, 40)
			require.Equal(t, len(pkts), a.Reserve(pkts))
			for i := range pkts {
				pkts[i].Route, pkts[i].Head = []transport.Route{nobody, somebody}[i%2], pkts[i].Head[:1+round]
			}
			n, err := a.Send(pkts)
			require.NoError(t, err)
			require.Equal(t, len(pkts), n)
			completed(t, a, 41*round+40)
			b.Release(transporttest.Receive(t, b, 20))
			transporttest.Send(t, a, nobody, "anybody?")
			transporttest.Send(t, b, back, "an answer")
			require.Equal(t, []string{"an answer"}, transporttest.Texts(t, a, 1))
			completed(t, a, 41*round+41)
		}
		require.Zero(t, a.Stats().TxRefused)
		require.Equal(t, uint64(50*41), a.Stats().TxPackets)
	})
}

func TestWaitReturnsForAReportAndSleepsWhenItIsTaken(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a := v.at(t, loopback)
		r, err := a.Resolve(transporttest.Dead(t, "127.0.0.1"), netip.Addr{})
		require.NoError(t, err)
		for range 3 {
			transporttest.Send(t, a, r, "anybody?")
			for !inside(a).sock.Reports() {
				require.NoError(t, a.Wait(-1))
			}
			require.NoError(t, a.Wait(-1), "also while it is not taken")
			_, ok := inside(a).NextUnreachable()
			require.True(t, ok)
			completed(t, a, a.Stats().TxPackets)
			returns := 0
			for began := time.Now(); time.Since(began) < 30*time.Millisecond; returns++ {
				require.NoError(t, a.Wait(30*time.Millisecond))
			}
			require.Less(t, returns, 10, "it sleeps")
		}
	})
}
