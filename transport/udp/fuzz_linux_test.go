package udp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
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

	s := socket{sock: &udpsock.Socket{Zones: udpsock.Zones{}}}
	s.sock.Caps = transport.Caps{MaxPayload: 1472, SegmentRx: true}
	s.rx.init(s.sock.Caps, make([]byte, rxMemory(s.sock.Caps)))
	r := &s.rx
	buffers := len(r.views)
	f.Fuzz(func(t *testing.T, length uint16, flags uint8, control []byte, batch uint8) {
		control = control[:min(len(control), udpsock.RxControl)]
		const messages = 3 // the same thrice, so that bursts meet
		require.Equal(t, messages, r.arm(messages))
		from := netip.MustParseAddrPort("192.0.2.1:7")
		var want []byte
		for i := range messages {
			m := &r.msgs[i]
			m.Len, m.Hdr.Flags = uint32(length), int32(flags)
			m.Hdr.SetControllen(copy(r.control[i][:], control))
			addr, err := udpsock.MakeSockaddr(from, i > 0)
			require.NoError(t, err)
			r.names[i] = addr
			start := int(r.buffer[i]) * udpsock.Stride(r.size)
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
