package netstack

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var linuxLink = Link{From: MAC{2, 0, 0, 0, 0, 1}, To: MAC{2, 0, 0, 0, 0, 2}}

// build puts headers before a payload, and completes the checksum.
func build(h *Headers, payload []byte, ecn uint8) []byte {
	frame := append(make([]byte, h.Len()), payload...)
	h.Put(frame, len(payload), ecn)
	h.Complete(frame)
	return frame
}

func TestADatagramIsWhatTheKernelSends(t *testing.T) {
	t.Parallel()
	h := NewHeaders(linuxLink, addrPort("10.9.8.1:31850"), addrPort("10.9.8.2:31851"))
	require.Equal(t, unhex(t, kernelUDP), build(&h, []byte("peregrine"), 2))

	h = NewHeaders(linuxLink, addrPort("[fd00:9::1]:31850"), addrPort("[fd00:9::2]:31851"))
	require.Equal(t, withoutFlowLabel(unhex(t, kernelUDP6)), build(&h, []byte("peregrine!"), 1))
}

func TestATagComesBeforeTheEtherType(t *testing.T) {
	t.Parallel()
	tagged := linuxLink
	tagged.VLAN = 100
	h := NewHeaders(tagged, addrPort("10.9.8.1:31850"), addrPort("10.9.8.2:31851"))
	want := slices.Insert(unhex(t, kernelUDP), 12, 0x81, 0x00, 0, 100)
	require.Equal(t, want, build(&h, []byte("peregrine"), 2))
	require.Equal(t, 18, h.LinkLen())
	require.Equal(t, 20, h.NetworkLen())
	require.Equal(t, 46, h.Len())
}

func TestAChecksumOfZeroIsSentAsItsOtherForm(t *testing.T) {
	t.Parallel()
	h := NewHeaders(linuxLink, addrPort("10.9.8.1:31850"), addrPort("10.9.8.2:31851"))
	check := build(&h, []byte{0, 0}, 0)[40:42]
	frame := build(&h, check, 0) // what is added makes the sum -0
	require.Equal(t, []byte{0xff, 0xff}, frame[40:42])

	s := newStack(t, linuxConfig(2))
	p := s.Parser()
	require.Equal(t, UDP, p.Parse(frame, 0, new(Datagram)))
}

// route draws both ends of a route on the link of the two Linux stations.
func drawRoute(t *rapid.T) (from, to netip.AddrPort) {
	ports := rapid.Uint16()
	if rapid.Bool().Draw(t, "ipv6") {
		source := netip.AddrFrom16([16]byte(append([]byte{0xfd}, rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(t, "source")...)))
		return netip.AddrPortFrom(source, ports.Draw(t, "from")),
			netip.AddrPortFrom(addr("fd00:9::2"), ports.Draw(t, "to"))
	}
	source := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "source")))
	return netip.AddrPortFrom(source, ports.Draw(t, "from")), netip.AddrPortFrom(addr("10.9.8.2"), ports.Draw(t, "to"))
}

func TestWhatIsPutIsParsed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := linuxConfig(2)
		c.VLAN = rapid.SampledFrom([]uint16{0, 1, 4094}).Draw(t, "vlan")
		c.AcceptPartial = rapid.Bool().Draw(t, "partial")
		s, err := New(c)
		require.NoError(t, err)

		from, to := drawRoute(t)
		payload := rapid.SliceOfN(rapid.Byte(), 0, 1472).Draw(t, "payload")
		ecn := rapid.Uint8Range(0, 3).Draw(t, "ecn")
		link := linuxLink
		link.VLAN = c.VLAN
		h := NewHeaders(link, from, to)
		frame := append(make([]byte, h.Len()), payload...)
		h.Put(frame, len(payload), ecn)
		device := UDPChecked
		if c.AcceptPartial || rapid.Bool().Draw(t, "complete") {
			device = 0
		}
		if device == 0 && !c.AcceptPartial {
			h.Complete(frame)
		}
		frame = append(frame, make([]byte, rapid.IntRange(0, 18).Draw(t, "padding"))...)

		var d Datagram
		p := s.Parser()
		require.Equal(t, UDP, p.Parse(frame, device, &d))
		require.Equal(t, from, d.From)
		require.Equal(t, to.Port(), d.Port)
		require.Equal(t, ecn, d.ECN)
		require.Equal(t, string(payload), string(d.Payload))
	})
}

func TestAChecksumIsCarriedOverAsIfItHadBeenComputed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawRoute(t)
		in := NewHeaders(linuxLink, from, to)
		payload := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xfe, 0xff}), 0, 200).Draw(t, "payload")
		frame := build(&in, payload, 0)
		sum, known := PayloadSum(frame[:in.Len()], from, to.Addr())
		if !known { // it looks like an unfinished one
			in.Put(frame, len(payload), 0)
			require.Equal(t, frame[in.Len()-2:in.Len()], build(&in, payload, 0)[in.Len()-2:in.Len()])
			return
		}
		out := NewHeaders(linuxLink, to, from)
		if rapid.Bool().Draw(t, "elsewhere") {
			out = NewHeaders(linuxLink, addrPort("[fd00:9::1]:31850"), addrPort("[fd00:9::2]:31851"))
		}
		want := build(&out, payload, 2)
		onward := append(make([]byte, out.Len()), payload...)
		out.Put(onward, len(payload), 2)
		out.CompleteWith(onward, sum)
		require.Equal(t, want, onward)
	})
}

func TestNothingIsKnownOfAPayloadWithoutAWholeChecksum(t *testing.T) {
	t.Parallel()
	for _, ends := range [][2]string{{"10.9.8.1:31850", "10.9.8.2:31851"}, {"[fd00:9::1]:31850", "[fd00:9::2]:31851"}} {
		from, to := addrPort(ends[0]), addrPort(ends[1])
		h := NewHeaders(linuxLink, from, to)
		frame := build(&h, []byte("peregrine"), 0)
		headers := frame[:h.Len()]
		sum, known := PayloadSum(headers, from, to.Addr())
		require.True(t, known)
		require.Equal(t, slowSum(0, []byte("peregrine")), sum)

		h.Put(frame, len("peregrine"), 0) // as a kernel sends it that leaves the rest to the device
		_, known = PayloadSum(headers, from, to.Addr())
		require.False(t, known)
		clear(headers[h.Len()-2:])
		_, known = PayloadSum(headers, from, to.Addr())
		require.False(t, known)
	}
}

func TestAFlippedBitIsNoticed(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(2))
	p := s.Parser()
	for _, text := range []string{kernelUDP, kernelUDP6} {
		for bit := range 8 * len(unhex(t, text)) {
			frame := unhex(t, text)
			frame[bit/8] ^= 1 << (bit % 8)
			var d Datagram
			if p.Parse(frame, 0, &d) != UDP {
				continue
			}
			// IPv6 protects neither the traffic class nor the flow label nor the hop limit, and nobody the sender's MAC.
			at := bit / 8
			require.True(t, at >= 6 && at < 12 || text == kernelUDP6 && (at >= 14 && at < 18 || at == 21), "byte %d", at)
		}
	}
}

func TestHeadersCostNoMemory(t *testing.T) {
	h := NewHeaders(linuxLink, addrPort("[fd00:9::1]:31850"), addrPort("[fd00:9::2]:31851"))
	s := newStack(t, linuxConfig(2))
	p := s.Parser()
	frame := make([]byte, h.Len()+32)
	var d Datagram
	require.Zero(t, testing.AllocsPerRun(100, func() {
		h.Put(frame, 32, 1)
		h.Complete(frame)
		if p.Parse(frame, 0, &d) != UDP {
			t.Error("not parsed")
		}
	}))
}

func benchmarkRoutes(b *testing.B, f func(b *testing.B, h *Headers, frame []byte)) {
	for _, c := range []struct{ name, from, to string }{
		{"ipv4", "10.9.8.1:31850", "10.9.8.2:31851"},
		{"ipv6", "[fd00:9::1]:31850", "[fd00:9::2]:31851"},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := NewHeaders(linuxLink, addrPort(c.from), addrPort(c.to))
			f(b, &h, build(&h, make([]byte, 64), 2))
		})
	}
}

func BenchmarkPut(b *testing.B) {
	benchmarkRoutes(b, func(b *testing.B, h *Headers, frame []byte) {
		for b.Loop() {
			h.Put(frame, 64, 2)
		}
	})
}

func BenchmarkComplete(b *testing.B) {
	benchmarkRoutes(b, func(b *testing.B, h *Headers, frame []byte) {
		for b.Loop() {
			h.Put(frame, 64, 2)
			h.Complete(frame)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	s := newStack(b, linuxConfig(2))
	p := s.Parser()
	for _, c := range []struct {
		name   string
		device Checked
	}{{"checked", IPChecked | UDPChecked}, {"verified", 0}} {
		b.Run(c.name, func(b *testing.B) {
			benchmarkRoutes(b, func(b *testing.B, _ *Headers, frame []byte) {
				var d Datagram
				for b.Loop() {
					if p.Parse(frame, c.device, &d) != UDP {
						b.Fatal("not parsed")
					}
				}
			})
		})
	}
}
