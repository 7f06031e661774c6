package transporttest

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Patience bounds what a story waits for; it is far more than it takes.
const Patience = time.Minute

// To resolves b's address for a.
func To(t testing.TB, a, b transport.Transport) transport.Route {
	t.Helper()
	r, err := a.Resolve(b.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	return r
}

// Loaded is packets that are ready to be sent, all of each in the Payload.
func Loaded(t testing.TB, tr transport.Transport, r transport.Route, texts ...string) []transport.TxPacket {
	t.Helper()
	pkts := make([]transport.TxPacket, len(texts))
	require.Equal(t, len(pkts), tr.Reserve(pkts))
	for i := range pkts {
		require.Len(t, pkts[i].Head, tr.Caps().MaxPayload)
		pkts[i].Route, pkts[i].Head, pkts[i].Payload = r, pkts[i].Head[:0], []byte(texts[i])
	}
	return pkts
}

// Send sends one packet per text.
func Send(t testing.TB, tr transport.Transport, r transport.Route, texts ...string) {
	t.Helper()
	for len(texts) > 0 {
		n := min(len(texts), tr.Caps().TxBatch)
		pkts := Loaded(t, tr, r, texts[:n]...)
		for len(pkts) > 0 {
			taken, err := tr.Send(pkts)
			require.NoError(t, err)
			if pkts = pkts[taken:]; len(pkts) > 0 {
				require.NoError(t, tr.Wait(time.Second))
			}
		}
		texts = texts[n:]
	}
}

// Receive waits for n packets and returns them, unreleased.
func Receive(t testing.TB, tr transport.Transport, n int) []transport.RxPacket {
	t.Helper()
	pkts := make([]transport.RxPacket, n)
	have := 0
	for end := time.Now().Add(Patience); have < n; {
		k, err := tr.Recv(pkts[have:])
		require.NoError(t, err)
		have += k
		if k == 0 {
			require.True(t, time.Now().Before(end), "%d of %d packets have arrived: %+v", have, n, tr.Stats())
			require.NoError(t, tr.Wait(time.Second))
		}
	}
	return pkts
}

// Texts waits for n packets and returns their contents.
func Texts(t testing.TB, tr transport.Transport, n int) []string {
	t.Helper()
	pkts := Receive(t, tr, n)
	out := make([]string, n)
	for i, p := range pkts {
		out[i] = string(p.Data)
	}
	tr.Release(pkts)
	return out
}

// Numbered returns n texts of that size, which differ from 4 bytes on.
func Numbered(n, size int) []string {
	out := make([]string, n)
	for i := range out {
		b := make([]byte, size)
		for j := range b {
			b[j] = byte(i + j)
		}
		if size >= 4 {
			binary.BigEndian.PutUint32(b, uint32(i))
		}
		out[i] = string(b)
	}
	return out
}

// Within waits for a condition on this goroutine, which owns transports.
func Within(t testing.TB, condition func() bool) {
	t.Helper()
	for began := time.Now(); !condition(); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), Patience)
	}
}
