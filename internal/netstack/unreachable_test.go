package netstack

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// unreachable is a frame by which station from tells station to that the datagram
// of kernelUDP, or of kernelUDP6, if it was the latter's, was not delivered.
func unreachable(t testing.TB, from, to byte, code uint8, ipv6 bool) (frame []byte) {
	kind, text, size, at := uint8(icmpUnreachable), kernelUDP, ipv4Size, 12
	if ipv6 {
		kind, text, size, at = icmpv6Unreachable, kernelUDP6, ipv6Size, 8
	}
	s := newStack(t, linuxConfig(from))
	quote := unhex(t, text)[ethernetSize:]
	length := (size - at) / 2
	quote[at+length-1], quote[at+2*length-1] = to, from
	own, peer := s.local[0].Addr(), netip.AddrFrom4([4]byte{10, 9, 8, to})
	if ipv6 {
		own, peer = s.local[1].Addr(), netip.AddrFrom16([16]byte{0: 0xfd, 3: 9, 15: to})
	}
	message := append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, quote...)
	b := append(s.openICMP(MAC{0x02, 0, 0, 0, 0, to}, own, peer, hopLimit, len(message)), message...)
	s.sendICMP(b, len(message), ipv6, func(sent []byte) { frame = append(frame, sent...) })
	return frame
}

func TestWhatWasNotDeliveredIsHeardOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code   uint8
		ipv6   bool
		reason syscall.Errno
		to     string
		data   string
	}{
		{3, false, syscall.ECONNREFUSED, "10.9.8.1:31851", "peregrine"},
		{0, false, syscall.ENETUNREACH, "10.9.8.1:31851", "peregrine"},
		{1, false, syscall.EHOSTUNREACH, "10.9.8.1:31851", "peregrine"},
		{13, false, syscall.EACCES, "10.9.8.1:31851", "peregrine"},
		{4, true, syscall.ECONNREFUSED, "[fd00:9::1]:31851", "peregrine!"},
		{0, true, syscall.ENETUNREACH, "[fd00:9::1]:31851", "peregrine!"},
		{1, true, syscall.EACCES, "[fd00:9::1]:31851", "peregrine!"},
		{3, true, syscall.EHOSTUNREACH, "[fd00:9::1]:31851", "peregrine!"},
	} {
		s := newStack(t, linuxConfig(2))
		s.Input(0, unreachable(t, 1, 2, c.code, c.ipv6), nil)
		data := make([]byte, QuotedPayload)
		u, number, ok := s.Unreachable(0, data)
		require.True(t, ok, "%+v: %+v", c, s.Counters())
		require.Equal(t, c.reason, u.Err)
		require.Equal(t, addrPort(c.to), u.To)
		require.Equal(t, uint16(31850), u.From.Port())
		require.Equal(t, c.data, string(u.Data))
		_, _, ok = s.Unreachable(number, data)
		require.False(t, ok)
	}
}

func TestWordOfOthersDatagramsIsIgnored(t *testing.T) {
	t.Parallel()
	frame := unreachable(t, 1, 2, 3, false)
	quote := ethernetSize + ipv4Size + icmpSize
	for what, spoil := range map[string]func(b []byte){
		"another station's": func(b []byte) { b[quote+15] = 77 },
		"TCP":               func(b []byte) { b[quote+9] = 6 },
		"a later fragment":  func(b []byte) { b[quote+7] = 1 },
		"no header":         func(b []byte) { b[quote] = 0x43 },
		"cut in its length": func(b []byte) { binary.BigEndian.PutUint16(b[quote+2:], 27) },
		"told to be short":  func(b []byte) { b[ethernetSize+ipv4Size+5] = 6 },
	} {
		b := append([]byte(nil), frame...)
		spoil(b)
		repair(b)
		s := newStack(t, linuxConfig(2))
		s.Input(0, b, nil)
		require.Zero(t, s.Heard(), what)
		require.Equal(t, Counters{Ignored: 1}, s.Counters(), what)
	}
}

func TestOnlyTheNewestWordIsKept(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(2))
	frame := unreachable(t, 1, 2, 3, false)
	for range 3 * maxUnreachables {
		s.Input(0, frame, nil)
	}
	n := 0
	for after := uint64(0); ; n++ {
		_, number, ok := s.Unreachable(after, make([]byte, QuotedPayload))
		if !ok {
			break
		}
		after = number
	}
	require.Equal(t, maxUnreachables, n)
}
