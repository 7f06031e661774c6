package udp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/transport"
)

// controlMessage is one control message as the kernel lays it out.
func controlMessage(level, kind, value uint32) []byte {
	b := make([]byte, unix.CmsgSpace(4))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(4)))
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-8:], level)
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-4:], kind)
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr:], value)
	return b
}

// FuzzRecv gives Recv messages as the kernel might have filled them in, with any
// length, flags and control messages. The datagrams that come of each are the
// message cut in pieces, and all buffers come back.
func FuzzRecv(f *testing.F) {
	gro := controlMessage(unix.SOL_UDP, unix.UDP_GRO, 100)
	f.Add(uint16(1000), uint8(0), []byte(nil), uint8(1))
	f.Add(uint16(1000), uint8(0), gro, uint8(3))
	f.Add(uint16(1001), uint8(0), append(controlMessage(unix.SOL_IP, unix.IP_TOS, 3), gro...), uint8(64))
	f.Add(uint16(0), uint8(0), gro, uint8(2))
	f.Add(uint16(0), uint8(0), controlMessage(unix.SOL_UDP, unix.UDP_GRO, 0), uint8(2))
	f.Add(uint16(9), uint8(0), controlMessage(unix.SOL_UDP, unix.UDP_GRO, 1<<31), uint8(2))
	f.Add(uint16(9), uint8(unix.MSG_TRUNC), controlMessage(unix.SOL_IPV6, unix.IPV6_TCLASS, 1), uint8(2))
	f.Add(uint16(9), uint8(0), gro[:unix.SizeofCmsghdr+3], uint8(2))

	var s socket
	s.rx.init(transport.Caps{MaxPayload: 1472, SegmentRx: true})
	r := &s.rx
	buffers := len(r.views)
	f.Fuzz(func(t *testing.T, length uint16, flags uint8, control []byte, batch uint8) {
		control = control[:min(len(control), rxControl)]
		const messages = 3 // the same thrice, so that bursts meet
		require.Equal(t, messages, r.arm(messages))
		from := netip.MustParseAddrPort("192.0.2.1:7")
		var want []byte
		for i := range messages {
			m := &r.msgs[i]
			m.Len, m.Hdr.Flags = uint32(length), int32(flags)
			m.Hdr.SetControllen(copy(r.control[i][:], control))
			addr, err := makeSockaddr(from, i > 0)
			require.NoError(t, err)
			r.names[i] = addr
			start := int(r.buffer[i]) * stride(r.size)
			for j := range r.memory[start : start+int(length)] {
				r.memory[start+j] = byte(i + j + j>>8)
			}
			if flags&unix.MSG_TRUNC == 0 {
				want = append(want, r.memory[start:start+int(length)]...)
			}
		}
		r.next, r.arrived = 0, messages
		truncated := s.Stats().RxTruncated

		var got []byte
		pkts := make([]transport.RxPacket, 1+int(batch))
		for r.pending() {
			n, err := s.Recv(pkts)
			require.NoError(t, err)
			for _, p := range pkts[:n] {
				require.Equal(t, from, p.From)
				require.LessOrEqual(t, p.ECN, transport.CE)
				require.Equal(t, len(p.Data), cap(p.Data))
				got = append(got, p.Data...)
			}
			s.Release(pkts[:n])
		}
		require.True(t, string(want) == string(got), "the datagrams are not what the kernel gave")
		if flags&unix.MSG_TRUNC != 0 {
			require.EqualValues(t, messages, s.Stats().RxTruncated-truncated)
		}
		armed := 0
		for _, b := range r.buffer {
			if b != none {
				armed++
			}
		}
		require.Equal(t, buffers, armed+len(r.free), "a buffer is lost")
	})
}

// FuzzSockaddr encodes addresses as the kernel has them, and back.
func FuzzSockaddr(f *testing.F) {
	for _, addr := range []string{"192.0.2.1:31850", "[2001:db8::1]:1", "[fe80::1%7]:65535", "[::ffff:192.0.2.1]:0", "[::]:9"} {
		f.Add(netip.MustParseAddrPort(addr).Addr().AsSlice(), uint16(7), uint32(0))
	}
	f.Add(netip.MustParseAddr("fe80::1").AsSlice(), uint16(7), uint32(4_000_000_000))
	f.Fuzz(func(t *testing.T, ip []byte, port uint16, scope uint32) {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok {
			return
		}
		addr = addr.Unmap()
		// The names of interfaces are this host's; the zone is in the cache.
		known := zones{scope: "7"}
		for _, ipv6 := range []bool{false, true} {
			if !ipv6 && !addr.Is4() {
				continue
			}
			encoded, err := makeSockaddr(netip.AddrPortFrom(addr, port), ipv6)
			require.NoError(t, err)
			require.Equal(t, addr.Is4(), encoded.isIPv4())
			require.Equal(t, netip.AddrPortFrom(addr, port), encoded.addrPort(known))
			if addr.Is6() && scope != 0 {
				encoded.Scope_id = scope
				require.Equal(t, netip.AddrPortFrom(addr.WithZone("7"), port), encoded.addrPort(known))
			}
		}
	})
}
