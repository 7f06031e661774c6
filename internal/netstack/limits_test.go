package netstack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// Bounds and rare cases, of which make mutate had found that no test looked at them.

func TestTheSumIsTheSlowOneOfEveryLength(t *testing.T) {
	t.Parallel()
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(0xff - i%7)
	}
	for n := range b {
		require.Equal(t, slowSum(0xfffe, b[:n]), sum(0xfffe, b[:n]), n)
		require.Equal(t, slowSum(1, b[len(b)-n:]), sum(1, b[len(b)-n:]), n)
	}
}

func TestHeadersWithoutABodyAreWhole(t *testing.T) {
	t.Parallel()
	p := newStack(t, linuxConfig(2)).Parser()
	const other = 99
	ethernet := unhex(t, kernelUDP)[:ethernetSize]
	for name, frame := range map[string][]byte{
		"Ethernet": change(ethernet, 12, 0x12, 0x34),
		"a tag":    append(change(ethernet, 12, 0x81, 0), 0, 0, 0x12, 0x34),
		"IPv4":     appendIP(append([]byte(nil), ethernet...), addr("10.9.8.1"), addr("10.9.8.2"), other, hopLimit, 0),
		"IPv6":     appendIP(change(ethernet, 12, 0x86, 0xdd), addr("fd00:9::1"), addr("fd00:9::2"), other, hopLimit, 0),
		"UDP to many": appendIP(change(ethernet, 12, 0x86, 0xdd, 0), addr("fd00:9::1"), addr("ff02::1"),
			protoUDP, hopLimit, 0),
		"ICMPv6 to another": appendIP(change(ethernet, 12, 0x86, 0xdd), addr("fd00:9::1"), addr("fd00:9::3"), protoICMPv6, hopLimit, 0),
	} {
		require.Equal(t, NotForUs, p.Parse(frame[:len(frame):len(frame)], 0, &Datagram{}), name)
	}
}

func TestTheShortCutTakesEmptyDatagramsAndBelievesTheDevice(t *testing.T) {
	t.Parallel()
	p := newStack(t, linuxConfig(2)).Parser()
	frame := func(payload string) []byte {
		h := NewHeaders(Link{MAC{2, 0, 0, 0, 0, 1}, MAC{2, 0, 0, 0, 0, 2}, 0}, addrPort("10.9.8.1:5"), addrPort("10.9.8.2:6"))
		return build(&h, []byte(payload), 0)
	}
	require.NotNil(t, p.ParseUsual(frame(""), 0))
	for _, wrong := range [][]byte{{0x12, 0}, {0, 0x12}, {0x12, 0x12}} {
		damaged := change(frame("peregrine"), 40, wrong...)
		require.Nil(t, p.ParseUsual(damaged, 0), "%x", wrong)
		require.NotNil(t, p.ParseUsual(damaged, UDPChecked), "%x", wrong)
	}
	require.NotNil(t, p.ParseUsual(change(frame("peregrine"), 40, 0, 0), 0), "there is no checksum")
}

func TestAStationWithoutIPv4OrOnAVLANHasNoUsualFrame(t *testing.T) {
	t.Parallel()
	alone := linuxConfig(2)
	alone.Addrs = alone.Addrs[1:] // IPv6
	tagged := linuxConfig(2)
	tagged.VLAN = 5
	for _, c := range []Config{alone, tagged} {
		p := newStack(t, c).Parser()
		require.Nil(t, p.ParseUsual(unhex(t, kernelUDP), 0))
	}
}

func TestAPingAsLongAsTheMTUIsAnswered(t *testing.T) {
	t.Parallel()
	for length, answers := range map[int]int{1500 - ipv4Size: 1, 1501 - ipv4Size: 0} {
		message := make([]byte, length)
		message[0] = icmpEcho
		binary.BigEndian.PutUint16(message[2:], ^sum(0, message))
		require.Len(t, ask(newStack(t, linuxConfig(2)), icmpFrame(addr("10.9.8.1"), addr("10.9.8.2"), hopLimit, message...)), answers, length)
	}
}

func TestEveryDynamicPortIsAskedForOnce(t *testing.T) {
	t.Parallel()
	asked := map[uint16]int{}
	_, found := SourcePort(ENA, []uint16{0}, 0, addr("10.9.8.2"), addrPort("10.9.8.1:5"), func(port uint16) bool {
		asked[port]++
		return false
	})
	require.False(t, found)
	require.Len(t, asked, 1<<16-FirstPort)
	for port, times := range asked {
		require.GreaterOrEqual(t, port, uint16(FirstPort))
		require.Equal(t, 1, times)
	}
}

// RFC 792 has no more quoted than 8 bytes behind the IP header, and RFC 4884 says where extensions begin.
func TestAQuotationMayEndEarlyOrBeFollowedByMore(t *testing.T) {
	t.Parallel()
	for _, ipv6 := range []bool{false, true} {
		head, unit, at := ipv4Size, 4, 5
		if ipv6 {
			head, unit, at = ipv6Size, 8, 4
		}
		frame := unreachable(t, 1, 2, 3, ipv6)
		message := frame[ethernetSize+head:]
		u, ok := quotedDatagram(message[:icmpSize+head+udpSize], ipv6)
		require.True(t, ok, ipv6)
		require.Empty(t, u.Data)
		for n := range head + udpSize {
			_, ok = quotedDatagram(message[:icmpSize+n:icmpSize+n], ipv6)
			require.False(t, ok, "%d of %v", n, ipv6)
		}

		whole := head + udpSize
		told := append([]byte(nil), message[:icmpSize+whole+8]...)
		told[at] = byte(whole / unit)
		u, ok = quotedDatagram(told, ipv6)
		require.True(t, ok, ipv6)
		require.Empty(t, u.Data, "what follows is an extension")
	}
}

func TestASolicitationFromNobodyIsForTheGroupAndHasNoMAC(t *testing.T) {
	t.Parallel()
	nobody, target := netip.IPv6Unspecified(), addr("fd00:9::2")
	group, _ := solicitedNode(target)
	solicitation := func(to netip.Addr, option ...byte) []byte {
		message := append([]byte{icmpv6Solicitation, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
		message = append(message, option...)
		binary.BigEndian.PutUint16(message[2:], ^sum(uint32(pseudo(append(nobody.AsSlice(), to.AsSlice()...), protoICMPv6, len(message))), message))
		return icmpFrame(nobody, to, ndpHops, message...)
	}
	mac := []byte{optionSourceMAC, 1, 2, 0, 0, 0, 0, 1}
	for name, c := range map[string]struct {
		frame   []byte
		answers int
	}{
		"as it is":         {solicitation(group), 1},
		"to the target":    {solicitation(target), 0},
		"with a MAC":       {solicitation(group, mac...), 0},
		"with both faults": {solicitation(target, mac...), 0},
	} {
		s := newStack(t, linuxConfig(2))
		require.Len(t, ask(s, c.frame), c.answers, name)
		require.EqualValues(t, 1-c.answers, s.Counters().Malformed, name)
	}
}

func TestAStationThatDoesNotAnswerIsAskedThreeTimesBeforeAllAre(t *testing.T) {
	t.Parallel()
	l := newLink(t, linuxConfig(1), linuxConfig(2))
	s := l.stations[0]
	l.resolve(s, "10.9.8.2")
	require.EqualValues(t, 1, s.Counters().Solicitations)
	l.dead[l.stations[1]] = true
	l.frames = nil
	l.pass(s, 36e9)
	var to []string
	for _, frame := range l.frames {
		to = append(to, fmt.Sprintf("%x", frame[0]))
	}
	require.Equal(t, []string{"2", "2", "2", "ff"}, to[:4])
	require.EqualValues(t, 1+len(to), s.Counters().Solicitations)
}

func TestWhoWasHeardOfLatelyIsThrownOutLast(t *testing.T) {
	t.Parallel()
	var n neighbours
	n.init()
	first, second := n.get(0, host(0)), n.get(0, host(1))
	for i := 2; i < maxNeighbours; i++ {
		n.get(0, host(i))
	}
	n.touch(first)
	n.get(0, host(maxNeighbours))
	require.Contains(t, n.table, first.addr)
	require.NotContains(t, n.table, second.addr)

	// One that is not in use has no place among those that are to be asked.
	a, b := n.get(0, host(10)), n.get(0, host(11))
	n.acquire(0, a)
	n.acquire(0, b)
	n.release(b)
	n.release(a)
	require.NotPanics(t, func() { n.schedule(b, 5) })
}
