package udpsock

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/transport"
)

func parsed(control []byte, z Zones) (c Control) {
	c.parse(control, z)
	return c
}

func TestAllControlMessagesFitTogether(t *testing.T) {
	t.Parallel()
	var room [TxControl]byte
	for _, ipv6 := range []bool{false, true} {
		source := netip.MustParseAddr("192.0.2.1")
		b := AppendECN(room[:0], !ipv6, transport.CE)
		b = AppendSegment(b, 1234)
		b = AppendSource(b, source, 0, ipv6)
		require.LessOrEqual(t, len(b), TxControl)
		require.Same(t, &room[0], &b[0], "nothing is allocated")
		msgs, err := unix.ParseSocketControlMessage(b)
		require.NoError(t, err)
		require.Len(t, msgs, 3)
		require.Len(t, msgs[1].Data, 2, "the kernel wants two bytes exactly")
		c := parsed(b, Zones{})
		require.Equal(t, transport.CE, c.ECN)
		if ipv6 {
			require.Equal(t, source, c.To, "a mapped address is an IPv4 address")
		}
	}
}

func TestTheAddressOfAnAnswerIsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ header, to string }{
		{"2001:db8::1", "2001:db8::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"fe80::1", "fe80::1%eth7"},
		{"ff02::1", ""},
	} {
		b := AppendSource(make([]byte, 0, TxControl), netip.MustParseAddr(c.header), 7, true)
		want := netip.Addr{}
		if c.to != "" {
			want = netip.MustParseAddr(c.to)
		}
		require.Equal(t, want, parsed(b, Zones{7: "eth7"}).To, c.header)
	}
}

func TestGarbledControlMessagesAreNotBelieved(t *testing.T) {
	t.Parallel()
	for n := range RxControl {
		junk := make([]byte, n)
		require.Zero(t, parsed(junk, Zones{}))
		for i := range junk {
			junk[i] = 0xff
		}
		require.Zero(t, parsed(junk, Zones{}))
	}
}

// FuzzParseControl reads any bytes, and understands what it can as the library
// does.
func FuzzParseControl(f *testing.F) {
	b := AppendECN(make([]byte, 0, TxControl), true, transport.ECT0)
	b = AppendSegment(b, 1234)
	f.Add(AppendSource(b, netip.MustParseAddr("2001:db8::1"), 0, true))
	f.Add(AppendSource(make([]byte, 0, TxControl), netip.MustParseAddr("192.0.2.1"), 0, false))
	f.Fuzz(func(t *testing.T, control []byte) {
		c := parsed(control, Zones{0: "0"})
		require.LessOrEqual(t, c.ECN, transport.CE)
		require.GreaterOrEqual(t, c.Segment, 0)
		require.False(t, c.To.Is4In6() || c.To.IsMulticast() && c.To.Is6())
		msgs, err := unix.ParseSocketControlMessage(control)
		if err != nil {
			return
		}
		known := Control{}
		for _, m := range msgs {
			level, kind := m.Header.Level, m.Header.Type
			if level == unix.SOL_IP && kind == unix.IP_TOS && len(m.Data) > 0 {
				known.ECN = transport.ECN(m.Data[0] & 3)
			}
			if level == unix.SOL_IPV6 && kind == unix.IPV6_TCLASS && len(m.Data) >= 4 {
				known.ECN = transport.ECN(binary.NativeEndian.Uint32(m.Data) & 3)
			}
		}
		require.Equal(t, known.ECN, c.ECN)
	})
}
