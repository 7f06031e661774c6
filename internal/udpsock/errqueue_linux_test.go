package udpsock

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// extended is a control message of the error queue, with the offender's address.
func extended(level, kind uint32, errno unix.Errno, origin, icmp, code uint8) []byte {
	b, data := appendControl(make([]byte, 0, 128), level, kind, 16+unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint32(data, uint32(errno))
	data[4], data[5], data[6] = origin, icmp, code
	return b
}

func TestWhyADatagramWasNotDelivered(t *testing.T) {
	t.Parallel()
	const four, six = unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6
	for _, c := range []struct {
		control []byte
		reason  syscall.Errno
	}{
		{extended(unix.SOL_IP, unix.IP_RECVERR, unix.ECONNREFUSED, four, 3, 3), syscall.ECONNREFUSED},
		{extended(unix.SOL_IPV6, unix.IPV6_RECVERR, unix.ECONNREFUSED, six, 1, 4), syscall.ECONNREFUSED},
		{extended(unix.SOL_IP, unix.IP_RECVERR, unix.EHOSTUNREACH, four, 3, 1), syscall.EHOSTUNREACH},
		{extended(unix.SOL_IP, unix.IP_RECVERR, unix.EHOSTUNREACH, four, 3, 13), syscall.EACCES},
		{extended(unix.SOL_IPV6, unix.IPV6_RECVERR, unix.EACCES, six, 1, 1), syscall.EACCES},
		{extended(unix.SOL_IP, unix.IP_RECVERR, unix.EMSGSIZE, four, 3, 4), 0},
		{extended(unix.SOL_IP, unix.IP_RECVERR, unix.EPROTO, four, 12, 0), 0},
	} {
		other := AppendECN(make([]byte, 0, TxControl), true, 1)
		e, ok := parseExtendedError(slices.Concat(other, c.control))
		require.True(t, ok)
		require.Equal(t, c.reason, e.unreachable())
		_, ok = parseExtendedError(c.control[:len(c.control)-40])
		require.False(t, ok, "cut short")
	}
}

func TestTheNewestReportsAreKept(t *testing.T) {
	t.Parallel()
	s := opened(t, "127.0.0.1:0")
	s.ReportErrors()
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i)) }
	for i := range 3 * maxReports {
		s.errors.add(at(i), syscall.ECONNREFUSED, []byte{byte(i)})
	}
	for i := 2 * maxReports; i < 3*maxReports; i++ {
		u, ok := s.NextUnreachable()
		require.True(t, ok)
		require.Equal(t, at(i), u.To)
		s.errors.add(at(9999), syscall.EHOSTUNREACH, nil)
		require.Equal(t, []byte{byte(i)}, u.Data, "valid until the next call")
	}
}

// FuzzParseExtendedError reads any bytes as the control messages of an error.
func FuzzParseExtendedError(f *testing.F) {
	f.Add(extended(unix.SOL_IP, unix.IP_RECVERR, unix.ECONNREFUSED, unix.SO_EE_ORIGIN_ICMP, 3, 3))
	f.Add(extended(unix.SOL_IPV6, unix.IPV6_RECVERR, unix.EACCES, unix.SO_EE_ORIGIN_ICMP6, 1, 1))
	f.Add(AppendECN(make([]byte, 0, TxControl), true, 1))
	f.Fuzz(func(t *testing.T, control []byte) {
		e, ok := parseExtendedError(control)
		msgs, err := unix.ParseSocketControlMessage(control)
		if err == nil {
			known := slices.ContainsFunc(msgs, func(m unix.SocketControlMessage) bool {
				level, kind := m.Header.Level, m.Header.Type
				return len(m.Data) >= 8 && (level == unix.SOL_IP && kind == unix.IP_RECVERR || level == unix.SOL_IPV6 && kind == unix.IPV6_RECVERR)
			})
			require.Equal(t, known, ok)
		}
		require.Contains(t, []syscall.Errno{0, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES}, e.unreachable())
	})
}
