package netstack

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// collect returns an emit that keeps frames.
func collect(frames *[][]byte) func([]byte) {
	return func(b []byte) { *frames = append(*frames, slices.Clone(b)) }
}

// ask puts a frame into a station and returns its answers.
func ask(s *Stack, frame []byte) [][]byte {
	var answers [][]byte
	s.Input(0, frame, collect(&answers))
	return answers
}

func TestAnAddressIsToldAsTheKernelTellsIt(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(2))
	require.Equal(t, [][]byte{unhex(t, kernelARPReply)}, ask(s, unhex(t, kernelARPRequest)))
	require.Equal(t, [][]byte{unhex(t, kernelAdvertisement)}, ask(s, unhex(t, kernelSolicitation)))
	require.Equal(t, Counters{ARPReplies: 1, Advertisements: 1}, s.Counters())
}

func TestPingIsAnswered(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(2))
	want := changeIP(changeIP(unhex(t, kernelEchoReply), 4, 0, 0), 6, dontFragment>>8, 0) // the kernel numbers packets
	require.Equal(t, [][]byte{want}, ask(s, unhex(t, kernelEcho)))
	require.Equal(t, [][]byte{withoutFlowLabel(unhex(t, kernelEchoReply6))}, ask(s, unhex(t, kernelEcho6)))
	require.Equal(t, Counters{EchoReplies: 2}, s.Counters())
}

func TestAnswersHaveTheTagOfOurVLAN(t *testing.T) {
	t.Parallel()
	c := linuxConfig(2)
	c.VLAN = 5
	s := newStack(t, c)
	tag := func(text string) []byte { return slices.Insert(unhex(t, text), 12, 0x81, 0, 0, 5) }
	require.Equal(t, [][]byte{tag(kernelARPReply)}, ask(s, tag(kernelARPRequest)))
	require.Equal(t, [][]byte{tag(kernelAdvertisement)}, ask(s, tag(kernelSolicitation)))
	require.Empty(t, ask(s, unhex(t, kernelARPRequest)))
}

func TestTheLinkLocalAddressAnswers(t *testing.T) {
	t.Parallel()
	c := linuxConfig(2)
	c.Addrs = c.Addrs[:1] // IPv4
	s := newStack(t, c)
	other := newStack(t, linuxConfig(1))
	var frames [][]byte
	from, n, err := other.Resolve(0, addr("fe80::ff:fe00:2"), netip.Addr{}, collect(&frames))
	require.NoError(t, err)
	require.Equal(t, addr("fe80::ff:fe00:1"), from)
	for _, answer := range ask(s, frames[0]) {
		other.Input(0, answer, nil)
	}
	mac, known := n.MAC()
	require.True(t, known)
	require.Equal(t, MAC{2, 0, 0, 0, 0, 2}, mac)
}

func TestSomebodyWhoWantsOurAddressIsToldThatItIsTaken(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(2))

	// RFC 5227: a request from no address.
	answers := ask(s, change(unhex(t, kernelARPRequest), 28, 0, 0, 0, 0))
	require.Equal(t, [][]byte{change(unhex(t, kernelARPReply), 38, 0, 0, 0, 0)}, answers)

	// RFC 4862: a solicitation from no address, without the option.
	group, groupMAC := solicitedNode(addr("fd00:9::2"))
	dad := icmpFrame(netip.IPv6Unspecified(), group, 255, unhex(t, kernelSolicitation)[54:78]...)
	answers = ask(s, change(dad, 0, groupMAC[:]...))
	require.Len(t, answers, 1)
	require.Equal(t, allNodesMAC[:], answers[0][:6])
	require.Equal(t, allNodes.AsSlice(), answers[0][38:54])
	require.Equal(t, byte(0x20), answers[0][58], "override, and not an answer to somebody")
	require.Equal(t, uint64(1), s.Counters().Conflicts)
}

func TestAnotherStationWithOurAddressIsCounted(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(2))
	var frames [][]byte
	c := linuxConfig(2)
	c.MAC[5] = 9
	newStack(t, c).Announce(collect(&frames))
	require.Len(t, frames, 3)
	for _, frame := range frames {
		require.Empty(t, ask(s, frame))
	}
	require.Equal(t, uint64(2), s.Counters().Conflicts, "the link-local address is its own")
}

// icmpFrame makes a frame around a message from station 1 to station 2 of linuxConfig, with the right checksum.
func icmpFrame(from, to netip.Addr, hops uint8, message ...byte) []byte {
	s := &Stack{parser: Parser{mac: MAC{2, 0, 0, 0, 0, 1}}}
	b := s.openICMP(MAC{2, 0, 0, 0, 0, 2}, from, to, hops, len(message))
	s.sendICMP(append(b, message...), len(message), to.Is6(), func([]byte) {})
	return s.out
}

func TestWhatMayNotBeAnsweredIsNot(t *testing.T) {
	t.Parallel()
	us, peer := addr("10.9.8.2"), addr("10.9.8.1")
	us6, peer6 := addr("fd00:9::2"), addr("fd00:9::1")
	echo, echo6 := []byte{8, 0, 0, 0, 0, 0, 0, 0}, []byte{128, 0, 0, 0, 0, 0, 0, 0}
	solicitation := unhex(t, kernelSolicitation)[54:]
	for what, frame := range map[string][]byte{
		"an echo from everybody":         icmpFrame(addr("255.255.255.255"), us, 64, echo...),
		"an echo from our network":       icmpFrame(addr("10.9.8.255"), us, 64, echo...),
		"an echo from a group":           icmpFrame(addr("224.0.0.1"), us, 64, echo...),
		"an echo from nobody":            icmpFrame(addr("0.0.0.0"), us, 64, echo...),
		"an echo from ourselves":         icmpFrame(us, us, 64, echo...),
		"an echo to the network":         icmpFrame(peer, addr("10.9.8.255"), 64, echo...),
		"an echo to all MACs":            change(icmpFrame(peer, us, 64, echo...), 0, broadcast[:]...),
		"an echo from a group's MAC":     change(icmpFrame(peer, us, 64, echo...), 6, 0x33),
		"an echo from our MAC":           change(icmpFrame(peer, us, 64, echo...), 6, 2, 0, 0, 0, 0, 2),
		"a fragment of an echo":          changeIP(icmpFrame(peer, us, 64, echo...), 6, 0x20, 0),
		"an echo longer than the MTU":    icmpFrame(peer, us, 64, append(slices.Clone(echo), make([]byte, 1473)...)...),
		"an echo reply":                  icmpFrame(peer, us, 64, 0, 0, 0, 0, 0, 0, 0, 0),
		"an unreachable port":            icmpFrame(peer, us, 64, 3, 3, 0, 0, 0, 0, 0, 0),
		"an IPv6 echo from a group":      icmpFrame(allNodes, us6, 64, echo6...),
		"an IPv6 echo from nobody":       icmpFrame(netip.IPv6Unspecified(), us6, 64, echo6...),
		"an IPv6 echo from ourselves":    icmpFrame(us6, us6, 64, echo6...),
		"an IPv6 echo to all":            icmpFrame(peer6, allNodes, 64, echo6...),
		"a solicitation through routers": icmpFrame(peer6, us6, 254, solicitation...),
		"a solicitation for another":     icmpFrame(peer6, us6, 255, change(solicitation, 23, 9)...),
		"a solicitation in a wrong group": icmpFrame(peer6, allNodes, 255,
			solicitation...),
		"a router's advertisement": icmpFrame(peer6, us6, 255, 134, 0, 0, 0, 0, 0, 0, 0),
		"ARP for another":          change(unhex(t, kernelARPRequest), 41, 9),
		"ARP of another kind":      change(unhex(t, kernelARPRequest), 15, 6),
		"reverse ARP":              change(unhex(t, kernelARPRequest), 21, 3),
		"ARP from a group's MAC":   change(unhex(t, kernelARPRequest), 22, 0x33),
		"ARP from all addresses":   change(unhex(t, kernelARPRequest), 28, 255, 255, 255, 255),
		"UDP":                      unhex(t, kernelUDP),
		"another protocol":         change(unhex(t, kernelARPRequest), 12, 0x88, 0xcc),
	} {
		s := newStack(t, linuxConfig(2))
		require.Empty(t, ask(s, frame), what)
		require.Equal(t, Counters{Ignored: 1}, s.Counters(), what)
		require.Empty(t, s.neighbours.table, what)
	}
}

func TestWhatIsDamagedIsCounted(t *testing.T) {
	t.Parallel()
	us6, peer6 := addr("fd00:9::2"), addr("fd00:9::1")
	solicitation := unhex(t, kernelSolicitation)[54:]
	for what, frame := range map[string][]byte{
		"short ARP":                       unhex(t, kernelARPRequest)[:41],
		"a runt":                          {2},
		"a damaged echo":                  change(unhex(t, kernelEcho), 42, 'H'),
		"a damaged IPv4 header":           change(unhex(t, kernelEcho), 22, 63),
		"a damaged IPv6 echo":             change(unhex(t, kernelEcho6), 62, 'H'),
		"short ICMP":                      icmpFrame(addr("10.9.8.1"), addr("10.9.8.2"), 64, 8, 0, 0, 0),
		"short ICMPv6":                    icmpFrame(peer6, us6, 64, 128, 0, 0, 0),
		"a solicitation without a target": icmpFrame(peer6, us6, 255, solicitation[:20]...),
		"an option of length 0":           icmpFrame(peer6, us6, 255, change(solicitation, 25, 0)...),
		"an option beyond the end":        icmpFrame(peer6, us6, 255, change(solicitation, 25, 2)...),
		"half an option":                  icmpFrame(peer6, us6, 255, solicitation[:25]...),
		"nobody with a MAC":               icmpFrame(netip.IPv6Unspecified(), us6, 255, solicitation...),
		"a group advertised":              icmpFrame(peer6, us6, 255, change(change(solicitation, 0, 136), 8, 0xff)...),
		"advertised to all as an answer":  icmpFrame(peer6, allNodes, 255, change(solicitation, 0, 136, 0, 0, 0, 0x60)...),
	} {
		s := newStack(t, linuxConfig(2))
		require.Empty(t, ask(s, frame), what)
		require.Equal(t, Counters{Malformed: 1}, s.Counters(), what)
	}
}

func TestReportsOfThePathsMTUAreOnlyCounted(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(2))
	require.Empty(t, ask(s, icmpFrame(addr("10.9.8.1"), addr("10.9.8.2"), 64, 3, 4, 0, 0, 0, 0, 2, 0)))
	require.Empty(t, ask(s, icmpFrame(addr("fd00:9::1"), addr("fd00:9::2"), 64, 2, 0, 0, 0, 0, 0, 5, 0)))
	require.Equal(t, Counters{TooBig: 2}, s.Counters())
}

func TestAWrongConfigurationSaysWhatToDo(t *testing.T) {
	t.Parallel()
	prefixes := func(texts ...string) (list []netip.Prefix) {
		for _, text := range texts {
			list = append(list, netip.MustParsePrefix(text))
		}
		return list
	}
	for _, c := range []struct {
		remedy string
		spoil  func(*Config)
	}{
		{"unicast", func(c *Config) { c.MAC = MAC{} }},
		{"unicast", func(c *Config) { c.MAC = broadcast }},
		{"give 1 to 4094", func(c *Config) { c.VLAN = 4095 }},
		{"give one with its network", func(c *Config) { c.Addrs = nil }},
		{"give a host's", func(c *Config) { c.Addrs = []netip.Prefix{{}} }},
		{"give a host's", func(c *Config) { c.Addrs = prefixes("224.0.0.1/24") }},
		{"give a host's", func(c *Config) { c.Addrs = prefixes("127.0.0.1/8") }},
		{"give a host's", func(c *Config) { c.Addrs = prefixes("10.0.0.0/24") }},
		{"give a host's", func(c *Config) { c.Addrs = prefixes("10.0.0.255/24") }},
		{"keep one", func(c *Config) { c.Addrs = prefixes("10.0.0.1/24", "10.0.0.1/16") }},
		{"IPv4 needs", func(c *Config) { c.MTU = 67 }},
		{"IPv6 needs", func(c *Config) { c.MTU = 1279 }},
		{"is not on the link", func(c *Config) { c.Gateways = []netip.Addr{addr("10.9.9.1")} }},
		{"station's own", func(c *Config) { c.Gateways = []netip.Addr{addr("10.9.8.1")} }},
		{"cannot be a gateway", func(c *Config) { c.Gateways = []netip.Addr{addr("10.9.8.0")} }},
		{"cannot be a gateway", func(c *Config) { c.Gateways = []netip.Addr{{}} }},
		{"keep one", func(c *Config) { c.Gateways = []netip.Addr{addr("10.9.8.3"), addr("10.9.8.4")} }},
	} {
		config := linuxConfig(1)
		c.spoil(&config)
		_, err := New(config)
		require.ErrorContains(t, err, c.remedy)
	}
}

func TestAMACIsReadAndWritten(t *testing.T) {
	t.Parallel()
	mac, err := ParseMAC("02:00:5e:10:00:01")
	require.NoError(t, err)
	require.Equal(t, "02:00:5e:10:00:01", mac.String())
	for _, text := range []string{"", "02:00:5e", "02:00:5e:10:00:00:00:01", "x"} {
		_, err = ParseMAC(text)
		require.ErrorContains(t, err, "write six bytes")
	}
}

// repair corrects the checksums of an untagged frame without IP options, as far as it has any.
func repair(b []byte) {
	if len(b) < ethernetSize+ipv6Size+icmpSize {
		return
	}
	ip, message, part := b[ethernetSize:], b[ethernetSize+ipv6Size:], uint16(0)
	switch binary.BigEndian.Uint16(b[12:]) {
	case typeIPv4:
		message = b[ethernetSize+ipv4Size:]
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		clear(ip[10:12])
		binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip[:ipv4Size]))
	case typeIPv6:
		binary.BigEndian.PutUint16(ip[4:], uint16(len(message)))
		part = pseudo(ip[8:40], protoICMPv6, len(message))
	default:
		return
	}
	clear(message[2:4])
	binary.BigEndian.PutUint16(message[2:], ^sum(uint32(part), message))
}

// FuzzInput puts frames into a station that asks for neighbours of its own. A byte before each is its length; its high
// bit has the checksums corrected. Nothing may panic, what the station says is well-formed to another one, and the
// table stays within its bounds.
func FuzzInput(f *testing.F) {
	const corrected = 0x80
	for _, texts := range [][]string{
		{kernelARPRequest, kernelEcho}, {kernelARPReply}, {kernelSolicitation, kernelEcho6}, {kernelAdvertisement},
	} {
		var program []byte
		for _, text := range texts {
			text = strings.Replace(text, "020000000001", "020000000002", 1) // also those to the other station
			program = append(append(program, corrected|byte(len(text)/2)), unhex(f, text)...)
		}
		f.Add(program)
	}
	for _, frame := range [][]byte{unreachable(f, 1, 2, 3, false), unreachable(f, 1, 2, 4, true)} {
		f.Add(append([]byte{corrected | byte(len(frame))}, frame...))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		s := newStack(t, linuxConfig(2))
		other := newStack(t, linuxConfig(1)).Parser()
		emit := func(frame []byte) {
			require.LessOrEqual(t, len(frame), s.mtu+ethernetSize)
			v := other.Parse(frame, 0, new(Datagram))
			require.True(t, v == ForStack || v == NotForUs, "%d", v)
		}
		for _, dst := range []string{"10.9.8.1", "fd00:9::1", "fe80::1"} {
			_, _, err := s.Resolve(0, addr(dst), netip.Addr{}, emit)
			require.NoError(t, err)
		}
		frames := 0
		for now := int64(0); len(program) > 0; now += firstRetry {
			length := min(int(program[0]&^corrected), len(program)-1)
			frame := slices.Clone(program[1 : 1+length])
			if program[0]&corrected != 0 {
				repair(frame)
			}
			s.Input(now, frame, emit)
			program = program[1+length:]
			frames++
			s.Tick(now, emit)
		}
		for after, data := uint64(0), make([]byte, QuotedPayload); after < s.Heard(); {
			u, number, ok := s.Unreachable(after, data)
			require.True(t, ok)
			require.True(t, s.isLocal(u.From.Addr()))
			require.NotZero(t, u.Err)
			after = number
		}
		require.LessOrEqual(t, len(s.neighbours.table), 3+frames)
		require.Len(t, s.neighbours.used, 3)
		require.Equal(t, len(s.neighbours.table), s.neighbours.idle.Len()+3)
		for addr, n := range s.neighbours.table {
			mac, known := n.MAC()
			require.True(t, s.isUnicast(addr) && !s.isLocal(addr))
			require.True(t, !known || s.isOther(mac))
		}
	})
}
