//go:build dpdk

package dpdk

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// BenchmarkEcho has both ends of a vhost/virtio-user pair in one goroutine: what
// a datagram there and back costs in instructions, without a second core's cache
// misses.
func BenchmarkEcho(b *testing.B) {
	for _, checksum := range []string{"auto", "software"} {
		for _, size := range []int{60, 1400} {
			b.Run(fmt.Sprintf("checksum=%s/%dB", checksum, size), func(b *testing.B) { benchmarkEcho(b, checksum, size) })
		}
	}
}

// BenchmarkIdle is a poll that finds nothing, at either end of a pair.
func BenchmarkIdle(b *testing.B) {
	dir, err := os.MkdirTemp("", "")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "s")
	near := benchmarked(b, "net_vhost0,iface="+socket, "10.9.0.1/24", "auto")
	far := benchmarked(b, "net_virtio_user0,path="+socket+",queue_size=1024,packed_vq=1", "10.9.0.2/24", "auto")
	time.Sleep(2 * time.Second)
	rx := make([]transport.RxPacket, 64)
	for name, tr := range map[string]transport.Transport{"vhost": near, "virtio-user": far} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				n, _ := tr.Recv(rx)
				tr.Release(rx[:n])
			}
		})
	}
}

func benchmarkEcho(b *testing.B, checksum string, size int) {
	const burst = 32
	dir, err := os.MkdirTemp("", "") // TempDir's would have an equals sign, and that means something to EAL
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "s")
	near := benchmarked(b, "net_vhost0,iface="+socket, "10.9.0.1/24", checksum)
	far := benchmarked(b, "net_virtio_user0,path="+socket+",queue_size=1024,packed_vq=1", "10.9.0.2/24", checksum)
	routes := [2]transport.Route{}
	for i, ends := range [2][2]transport.Transport{{near, far}, {far, near}} {
		routes[i], err = ends[0].Resolve(netip.AddrPortFrom(ends[1].LocalAddr().Addr(), ends[1].LocalAddr().Port()), netip.Addr{})
		require.NoError(b, err)
	}
	var tx [burst]transport.TxPacket
	var rx [burst]transport.RxPacket
	pass := func(from, to transport.Transport, route transport.Route) (arrived int) {
		n := from.Reserve(tx[:])
		for i := range tx[:n] {
			tx[i].Route, tx[i].Head = route, tx[i].Head[:size]
		}
		sent, err := from.Send(tx[:n])
		if err != nil || sent != n {
			b.Fatal(sent, n, err)
		}
		for range 2 {
			n, _ := to.Recv(rx[:])
			to.Release(rx[:n])
			arrived += n
		}
		return arrived
	}
	for end := time.Now().Add(10 * time.Second); min(pass(near, far, routes[0]), pass(far, near, routes[1])) == 0; {
		require.True(b, time.Now().Before(end), "the ends find each other")
		time.Sleep(time.Millisecond)
	}
	b.ReportAllocs()
	b.ResetTimer()
	lost := 0
	for i := 0; i < b.N; i += burst {
		lost += 2*burst - pass(near, far, routes[0]) - pass(far, near, routes[1])
	}
	b.ReportMetric(float64(lost), "lost")
}

func benchmarked(b *testing.B, device, ip, checksum string) transport.Transport {
	c := DefaultConfig()
	c.Device, c.IP, c.Checksum = device, []string{ip}, checksum
	c.Memory, c.Buffers = 128, 1024
	tr, err := Open(c, 0, 1)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, tr.Close()) })
	return tr
}
