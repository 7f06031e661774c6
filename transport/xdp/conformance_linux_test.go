package xdp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Every mode, either family, and plain UDP at either end. Where the sender is a
// kernel its checksums are unfinished.
func TestConformance(t *testing.T) {
	four, six := []string{"10.9.0.1/24", "10.9.0.2/24"}, []string{"fd09::1/64", "fd09::2/64"}
	several := []string{"10.9.0.1/24", "10.9.0.2/24", "10.9.0.3/24", "10.9.0.4/24", "fd09::1/64", "fd09::2/64"}
	native, generic := mode("native"), mode("generic")
	for _, l := range []struct {
		name    string
		long    bool
		mtu     int
		ips     []string
		factory func(*wire) conformance.Factory
	}{
		{"native to native", false, 1500, several, func(w *wire) conformance.Factory { return w.between(w.near.xdp(native), w.far.xdp(native)) }},
		{"generic to generic, IPv6", true, 1500, six, func(w *wire) conformance.Factory { return w.between(w.near.xdp(generic), w.far.xdp(generic)) }},
		{"native to generic, IPv6", true, 1500, six, func(w *wire) conformance.Factory { return w.between(w.near.xdp(native), w.far.xdp(generic)) }},
		{"native to udp", true, 1500, four, func(w *wire) conformance.Factory { return w.between(w.near.xdp(native), w.far.udp) }},
		{"native to iouring", true, 1500, four, func(w *wire) conformance.Factory { return w.between(w.near.xdp(native), w.far.iouring) }},
		{"iouring to generic, IPv6", true, 1500, six, func(w *wire) conformance.Factory { return w.between(w.near.iouring, w.far.xdp(generic)) }},
		{"udp to generic", false, 1500, four, func(w *wire) conformance.Factory { return w.between(w.near.udp, w.far.xdp(generic)) }},
		{"udp to native, IPv6", true, 1500, six, func(w *wire) conformance.Factory { return w.between(w.near.udp, w.far.xdp(native)) }},
		{"generic to udp", true, 1500, four, func(w *wire) conformance.Factory { return w.between(w.near.xdp(generic), w.far.udp) }},
		{"generic to iouring", true, 1500, four, func(w *wire) conformance.Factory { return w.between(w.near.xdp(generic), w.far.iouring) }},
		{"iouring to native", true, 1500, four, func(w *wire) conformance.Factory { return w.between(w.near.iouring, w.far.xdp(native)) }},
		{"native to native, jumbo", false, 9000, six, func(w *wire) conformance.Factory { return w.between(w.near.xdp(native), w.far.xdp(native)) }},
		{"generic to generic, jumbo", true, 9000, four, func(w *wire) conformance.Factory { return w.between(w.near.xdp(generic), w.far.xdp(generic)) }},
		{"native to udp, jumbo", true, 9000, four, func(w *wire) conformance.Factory { return w.between(w.near.xdp(native), w.far.udp) }},
		{"udp to generic, jumbo", true, 9000, six, func(w *wire) conformance.Factory { return w.between(w.near.udp, w.far.xdp(generic)) }},
		{"native to native, more than veth has room for", true, 3600, four, func(w *wire) conformance.Factory { return w.between(w.near.xdp(native), w.far.xdp(native)) }},
	} {
		if l.long && testing.Short() {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			w := wired(t, l.mtu, l.ips...)
			f := l.factory(w)
			f.Also = w.far.addrs[1:]
			conformance.Transport(t, f)
		})
	}
}

func TestConformanceOfRPC(t *testing.T) {
	if testing.Short() {
		t.Log("native mode with plain UDP will do")
		return
	}
	w := wired(t, 1500, "10.10.0.1/24", "10.10.0.2/24")
	conformance.RPC(t, w.between(w.near.xdp(mode("native")), w.far.xdp(mode("native"))))
}

func TestConformanceOfRPCInGenericMode(t *testing.T) {
	if testing.Short() {
		t.Log("native mode with plain UDP will do")
		return
	}
	w := wired(t, 1500, "10.10.0.1/24", "10.10.0.2/24")
	conformance.RPC(t, w.between(w.near.xdp(mode("generic")), w.far.xdp(mode("generic"))))
}

func TestConformanceOfRPCWithPlainUDP(t *testing.T) {
	w := wired(t, 1500, "fd10::1/64", "fd10::2/64")
	conformance.RPC(t, w.between(w.near.udp, w.far.xdp(mode("native"))))
}

// Packets of three frames, which leave as one piece of memory and arrive in several.
func TestConformanceOfRPCOverJumbo(t *testing.T) {
	if testing.Short() {
		t.Log("the transport's suite over jumbo will do")
		return
	}
	w := wired(t, 9000, "10.10.0.1/24", "10.10.0.2/24")
	open := w.near.xdp(mode("native"))
	conformance.RPC(t, w.between(func(port uint16) (transport.Transport, error) {
		tr, err := open(port)
		if err == nil {
			q := tr.(*queue)
			require.True(t, q.port.frags)
			require.Equal(t, 4096, q.umem.FrameSize())
			require.Equal(t, 9000-headers4, q.caps.MaxPayload)
		}
		return tr, err
	}, w.far.xdp(mode("native"))))
}
