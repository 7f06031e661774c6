package netstack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAReceiverOnAVLANKnowsItsFramesWithAndWithoutTheTag(t *testing.T) {
	t.Parallel()
	own := netip.MustParseAddrPort("10.9.8.2:31850")
	r := Receiver{MAC: MAC{2, 2}, VLAN: 7, Addrs: []netip.Addr{own.Addr(), addr("fd00:9::2")}}
	frame := func(vlan uint16) []byte {
		h := NewHeaders(Link{MAC{2, 1}, r.MAC, vlan}, addrPort("10.9.8.1:5"), own)
		b := make([]byte, h.Len()+4)
		h.Put(b, 4, 0)
		h.Complete(b)
		return b
	}
	verdict := func(vlan uint16) Verdict {
		p := r.Parser()
		requireSameParse(t, &p, frame(vlan), 0)
		return p.Parse(frame(vlan), 0, &Datagram{})
	}
	require.Equal(t, UDP, verdict(7))
	require.Equal(t, NotForUs, verdict(8))
	require.Equal(t, NotForUs, verdict(0))
	r.Untagged = true
	require.Equal(t, UDP, verdict(7))
	require.Equal(t, NotForUs, verdict(8))
	require.Equal(t, UDP, verdict(0))

	p := r.Parser()
	require.NotNil(t, p.ParseUsual(frame(0), 0), "by the short way")
}

func TestAReceiverWithoutIPv4HasNoUsualFrame(t *testing.T) {
	t.Parallel()
	p := Receiver{MAC: MAC{2, 2}, Addrs: []netip.Addr{addr("fd00:9::2")}}.Parser()
	h := NewHeaders(Link{MAC{2, 1}, MAC{2, 2}, 0}, addrPort("[fd00:9::1]:5"), addrPort("[fd00:9::2]:6"))
	b := make([]byte, h.Len())
	h.Put(b, 0, 0)
	h.Complete(b)
	require.Nil(t, p.ParseUsual(b, 0))
	require.Equal(t, UDP, p.Parse(b, 0, &Datagram{}))
}
