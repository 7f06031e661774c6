package netstack

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func parse(t testing.TB, c Config, frame []byte) (Datagram, Verdict) {
	var d Datagram
	p := newStack(t, c).Parser()
	v := p.Parse(frame, 0, &d)
	return d, v
}

func TestTheKernelsDatagramsAreParsed(t *testing.T) {
	t.Parallel()
	d, v := parse(t, linuxConfig(2), unhex(t, kernelUDP))
	require.Equal(t, UDP, v)
	require.Equal(t, Datagram{[]byte("peregrine"), addrPort("10.9.8.1:31850"), addr("10.9.8.2"), 31851, 2}, d)

	d, v = parse(t, linuxConfig(2), unhex(t, kernelUDP6))
	require.Equal(t, UDP, v)
	require.Equal(t, Datagram{[]byte("peregrine!"), addrPort("[fd00:9::1]:31850"), addr("fd00:9::2"), 31851, 1}, d)
}

func TestWhatIsForTheStackGoesThere(t *testing.T) {
	t.Parallel()
	for _, text := range []string{kernelARPRequest, kernelEcho, kernelSolicitation, kernelEcho6} {
		_, v := parse(t, linuxConfig(2), unhex(t, text))
		require.Equal(t, ForStack, v)
	}
	for _, text := range []string{kernelARPReply, kernelEchoReply, kernelAdvertisement, kernelEchoReply6} {
		_, v := parse(t, linuxConfig(1), unhex(t, text))
		require.Equal(t, ForStack, v)
		_, v = parse(t, linuxConfig(2), unhex(t, text))
		require.Equal(t, NotForUs, v, "to another station")
	}
}

// The short cut for usual frames must not lead where Parse does not.
func requireSameParse(t testing.TB, p *Parser, frame []byte, device Checked) (short bool) {
	var d Datagram
	v := p.Parse(frame, device, &d)
	payload := p.ParseUsual(frame, device)
	if payload == nil {
		return false
	}
	u := Usual(frame)
	require.Equal(t, UDP, v, "%x", frame)
	require.Equal(t, d, Datagram{payload, u.From(), p.UsualTo(), u.Port(), u.ECN()}, "%x", frame)
	return true
}

func TestTheShortCutLeadsToTheSameDatagram(t *testing.T) {
	t.Parallel()
	p := newStack(t, linuxConfig(2)).Parser()
	usual := unhex(t, kernelUDP)
	require.True(t, requireSameParse(t, &p, usual, 0))
	require.True(t, requireSameParse(t, &p, append(slices.Clone(usual), 0, 0), 0), "with Ethernet's padding")
	for _, device := range []Checked{0, IPChecked, UDPChecked, IPChecked | UDPChecked} {
		for at := range usual {
			for bit := range 8 {
				requireSameParse(t, &p, change(usual, at, usual[at]^1<<bit), device)
			}
			requireSameParse(t, &p, usual[:at], device)
		}
	}
	var none Parser
	require.False(t, requireSameParse(t, &none, make([]byte, 64), 0))
}

// change patches a copy of a frame, from an offset on.
func change(frame []byte, at int, patch ...byte) []byte {
	frame = slices.Clone(frame)
	copy(frame[at:], patch)
	return frame
}

// changeIP also corrects an untagged IPv4 header's checksum.
func changeIP(frame []byte, at int, patch ...byte) []byte {
	frame = change(frame, ethernetSize+at, patch...)
	ip := frame[ethernetSize:][:int(frame[ethernetSize]&15)*4]
	clear(ip[10:12])
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
	return frame
}

func TestAFramesVerdict(t *testing.T) {
	t.Parallel()
	v4, v6 := unhex(t, kernelUDP), unhex(t, kernelUDP6)
	for _, c := range []struct {
		what    string
		verdict Verdict
		frame   []byte
	}{
		{"nothing", Malformed, nil},
		{"a runt", Malformed, v4[:13]},
		{"half a tag", Malformed, change(v4[:16], 12, 0x81, 0)},
		{"no IP header", Malformed, v4[:33]},
		{"no IPv6 header", Malformed, v6[:53]},
		{"another version in IPv4", Malformed, changeIP(v4, 0, 0x65)},
		{"another version in IPv6", Malformed, change(v6, 14, 0x40)},
		{"a header that is too short", Malformed, change(v4, 14, 0x44)},
		{"a header longer than the packet", Malformed, change(v4, 14, 0x4f)},
		{"a packet longer than the frame", Malformed, changeIP(v4, 3, 38)},
		{"an IPv6 packet longer than the frame", Malformed, change(v6, 19, 19)},
		{"no UDP header", Malformed, changeIP(v4, 3, 27)},
		{"UDP longer than the packet", Malformed, change(v4, 39, 18)},
		{"UDP shorter than its header", Malformed, change(v4, 39, 7)},
		{"an IPv6 jumbogram", Malformed, change(v6, 18, 0, 18, 17, 64)[:60]},

		{"another EtherType", NotForUs, change(v4, 12, 0x88, 0xcc)},
		{"a length for an EtherType", NotForUs, change(v4, 12, 0, 43)},
		{"another station's MAC", NotForUs, change(v4, 5, 9)},
		{"another station's address", NotForUs, changeIP(v4, 19, 9)},
		{"another station's IPv6 address", NotForUs, change(v6, 53, 9)},
		{"all stations", NotForUs, change(v4, 0, broadcast[:]...)},
		{"all IPv6 stations", NotForUs, change(v6, 0, allNodesMAC[:]...)},
		{"TCP", NotForUs, changeIP(v4, 9, 6)},
		{"an IPv6 destination option", NotForUs, change(v6, 20, 60)},
		{"a VLAN that is not ours", NotForUs, slices.Insert(slices.Clone(v4), 12, 0x81, 0, 0, 5)},
		{"two tags", NotForUs, slices.Insert(slices.Clone(v4), 12, 0x81, 0, 0, 0, 0x81, 0, 0, 0)},

		{"a first fragment", Fragment, changeIP(v4, 6, 0x20, 0)},
		{"a later fragment", Fragment, changeIP(v4, 6, 0, 1)},
		{"an IPv6 fragment", Fragment, change(v6, 20, protoFragment)},
		{"another station's fragment", NotForUs, changeIP(changeIP(v4, 6, 0x20, 0), 19, 9)},

		{"a damaged header", BadChecksum, change(v4, 22, 63)},
		{"damaged payload", BadChecksum, change(v4, 42, 'P')},
		{"damaged IPv6 payload", BadChecksum, change(v6, 62, 'P')},
		{"a partial checksum", BadChecksum, partial(v4)},
		{"no IPv6 checksum", BadChecksum, change(v6, 60, 0, 0)},

		{"no checksum", UDP, change(v4, 40, 0, 0)},
		{"padding", UDP, append(slices.Clone(v4), 0, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"options of UDP", UDP, append(changeIP(v4, 3, 39), 0, 0)},
		{"a tag that is only a priority", UDP, slices.Insert(slices.Clone(v4), 12, 0x81, 0, 0xe0, 0)},
		{"the reserved flag", UDP, changeIP(v4, 6, 0xc0, 0)},
		{"options of IPv4", UDP, changeIP(slices.Insert(slices.Clone(v4), 34, 1, 1, 1, 0), 0, 0x46, 2, 0, 41)},
	} {
		d, v := parse(t, linuxConfig(2), c.frame)
		require.Equal(t, c.verdict, v, c.what)
		if v == UDP {
			require.Equal(t, "peregrine", string(d.Payload), c.what)
		}
	}
}

// partial puts the sum of the pseudo-header where a kernel leaves it to the device.
func partial(frame []byte) []byte {
	part := pseudo(frame[26:34], protoUDP, len(frame)-34)
	return change(frame, 40, byte(part>>8), byte(part))
}

func TestAPartialChecksumIsAcceptedOnRequest(t *testing.T) {
	t.Parallel()
	c := linuxConfig(2)
	c.AcceptPartial = true
	_, v := parse(t, c, partial(unhex(t, kernelUDP)))
	require.Equal(t, UDP, v)
	_, v = parse(t, c, change(unhex(t, kernelUDP), 42, 'P'))
	require.Equal(t, BadChecksum, v, "a full one is still verified")
}

func TestAFrameOfOurVLANNeedsTheTag(t *testing.T) {
	t.Parallel()
	c := linuxConfig(2)
	c.VLAN = 5
	frame := unhex(t, kernelUDP)
	_, v := parse(t, c, frame)
	require.Equal(t, NotForUs, v)
	_, v = parse(t, c, slices.Insert(frame, 12, 0x81, 0, 0x20, 5))
	require.Equal(t, UDP, v)
}

func TestWhatTheDeviceCheckedIsNotCheckedAgain(t *testing.T) {
	t.Parallel()
	p := newStack(t, linuxConfig(2)).Parser()
	frame := change(change(unhex(t, kernelUDP), 24, 0, 0), 40, 0x12, 0x34)
	require.Equal(t, BadChecksum, p.Parse(frame, 0, new(Datagram)))
	require.Equal(t, BadChecksum, p.Parse(frame, IPChecked, new(Datagram)))
	require.Equal(t, UDP, p.Parse(frame, IPChecked|UDPChecked, new(Datagram)))

	frame = change(unhex(t, kernelUDP6), 60, 0, 0)
	require.Equal(t, BadChecksum, p.Parse(frame, UDPChecked, new(Datagram)), "a sender may not leave it out")
}

func TestASenderThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	mapped := addr("::ffff:10.9.8.1").As16()
	p := newStack(t, linuxConfig(2)).Parser()
	require.Equal(t, Malformed, p.Parse(change(unhex(t, kernelUDP6), 22, mapped[:]...), UDPChecked, new(Datagram)))
}

// FuzzParse holds the parser to its promises: it does not panic, a datagram lies within its frame, and one that passed
// unaided passes with the device's help.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		kernelARPRequest, kernelEcho, kernelSolicitation, kernelAdvertisement, kernelEcho6, kernelUDP, kernelUDP6,
	} {
		f.Add(unhex(f, text), byte(0))
		f.Add(slices.Insert(unhex(f, text), 12, 0x81, 0, 0, 5), byte(4))
	}
	f.Fuzz(func(t *testing.T, frame []byte, mode byte) {
		c := linuxConfig(2)
		c.AcceptPartial = mode&8 != 0
		if mode&4 != 0 {
			c.VLAN = 5
		}
		p := newStack(t, c).Parser()
		var d Datagram
		v := p.Parse(frame, Checked(mode&3), &d)
		require.Less(t, v, Verdicts)
		requireSameParse(t, &p, frame, Checked(mode&3))
		if v != UDP {
			require.Zero(t, d)
			return
		}
		require.LessOrEqual(t, len(d.Payload)+ethernetSize+ipv4Size+udpSize, len(frame))
		require.Less(t, d.ECN, uint8(4))
		require.True(t, d.From.IsValid())
		require.Equal(t, UDP, p.Parse(frame, IPChecked|UDPChecked, new(Datagram)))
	})
}
