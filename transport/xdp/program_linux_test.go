package xdp

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// tried loads a filter that says of packets what it would do, and returns a
// function that asks it.
func tried(t *testing.T, f filter, dialed ...uint16) func(frame []byte) bool {
	t.Helper()
	m, err := makeMaps(1)
	if errors.Is(err, unix.EPERM) {
		t.Skip("loading a program takes root, or CAP_BPF and CAP_NET_ADMIN")
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.close()) })
	for _, port := range dialed {
		var bits uint64
		require.NoError(t, m.ports.Lookup(uint32(port/64), &bits))
		require.NoError(t, m.ports.Put(uint32(port/64), bits|1<<(port%64)))
	}
	p, err := f.load(m, asm.Instructions{asm.Mov.Imm(asm.R0, xdpRedirect), asm.Return()}, false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return func(frame []byte) bool {
		verdict, _, err := p.Test(frame)
		require.NoError(t, err)
		require.Contains(t, []uint32{xdpPass, xdpRedirect}, verdict)
		return verdict == xdpRedirect
	}
}

// datagram is a whole frame.
func datagram(vlan uint16, from, to string, payload int) []byte {
	h := netstack.NewHeaders(netstack.Link{From: netstack.MAC{2, 1}, To: netstack.MAC{2, 2}, VLAN: vlan},
		netip.MustParseAddrPort(from), netip.MustParseAddrPort(to))
	b := make([]byte, h.Len()+payload)
	h.Put(b, payload, 0)
	h.Complete(b)
	return b
}

var ourFilter = filter{
	addrs: []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1"),
		netip.MustParseAddr("240.9.0.1"), netip.MustParseAddr("fd09::2")},
	port: 31850,
}

func TestTheProgramTakesOurDatagrams(t *testing.T) {
	t.Parallel()
	ours := tried(t, ourFilter, 50000)
	for _, c := range []struct {
		from, to string
		ours     bool
	}{
		{"10.9.0.9:1", "10.9.0.1:31850", true},
		{"10.9.0.9:1", "240.9.0.1:31850", true},
		{"[fd09::9]:1", "[fd09::1]:31850", true},
		{"[fd09::9]:1", "[fd09::2]:31850", true},
		{"10.9.0.9:31850", "10.9.0.1:31851", false},
		{"10.9.0.9:31850", "10.9.0.2:31850", false},
		{"[fd09::9]:1", "[fd09::1]:31851", false},
		{"[fd09::9]:1", "[fd09::3]:31850", false},
		{"[fd09::9]:1", "[fd08::1]:31850", false},
		{"10.9.0.9:1", "10.9.0.1:50000", true}, // a connection began there
		{"[fd09::9]:1", "[fd09::1]:50000", true},
		{"10.9.0.9:1", "10.9.0.1:50064", false},
		{"10.9.0.9:1", "10.9.0.1:49936", false},
		{"10.9.0.9:1", "10.9.0.1:50001", false},
	} {
		for _, size := range []int{0, 1, 64, 1400} {
			require.Equal(t, c.ours, ours(datagram(0, c.from, c.to, size)), "%s to %s, %d bytes", c.from, c.to, size)
		}
	}
}

func TestTheProgramLeavesTheKernelEverythingElse(t *testing.T) {
	t.Parallel()
	ours := tried(t, ourFilter)
	whole := datagram(0, "10.9.0.9:1", "10.9.0.1:31850", 100)
	changed := func(base []byte, at int, to ...byte) []byte {
		b := append([]byte{}, base...)
		copy(b[at:], to)
		return b
	}
	for name, frame := range map[string][]byte{
		"ARP":             changed(whole, 12, 0x08, 0x06),
		"LLDP":            changed(whole, 12, 0x88, 0xcc),
		"TCP":             changed(whole, 23, 6),
		"ICMP":            changed(whole, 23, 1),
		"options":         changed(whole, 14, 0x46),
		"version 5":       changed(whole, 14, 0x55),
		"first fragment":  changed(whole, 20, 0x20),
		"later fragment":  changed(whole, 20, 0x00, 0x10),
		"last fragment":   changed(whole, 20, 0x1f, 0xff),
		"two tags":        append(append(append([]byte{}, whole[:12]...), 0x81, 0, 0, 0, 0x81, 0, 0, 0), whole[12:]...),
		"provider's tag":  append(append(append([]byte{}, whole[:12]...), 0x88, 0xa8, 0, 0), whole[12:]...),
		"another's VLAN":  datagram(7, "10.9.0.9:1", "10.9.0.1:31850", 100),
		"ICMPv6":          changed(datagram(0, "[fd09::9]:1", "[fd09::1]:31850", 100), 20, 58),
		"TCP over IPv6":   changed(datagram(0, "[fd09::9]:1", "[fd09::1]:31850", 100), 20, 6),
		"IPv6 fragment":   changed(datagram(0, "[fd09::9]:1", "[fd09::1]:31850", 100), 20, 44),
		"half an address": changed(datagram(0, "[fd09::9]:1", "[fd09::1]:31850", 100), 53, 9),
	} {
		require.False(t, ours(frame), name)
	}
	require.True(t, ours(changed(whole, 20, 0x40)), "don't fragment is no fragment")
	require.True(t, ours(append(append(append([]byte{}, whole[:12]...), 0x81, 0, 0xe0, 0), whole[12:]...)), "a tag that only has a priority")
	for n := 14; n < 42; n++ { // the kernel tests no shorter frame
		require.False(t, ours(whole[:n]), "%d bytes", n)
	}
	six := datagram(0, "[fd09::9]:1", "[fd09::1]:31850", 0)
	for n := 14; n < 62; n++ {
		require.False(t, ours(six[:n]), "%d bytes of IPv6", n)
	}
}

func TestTheProgramTakesAVLANsFramesWithAndWithoutTheTag(t *testing.T) {
	t.Parallel()
	f := ourFilter
	f.vlan = 0x123
	ours := tried(t, f)
	for _, to := range []string{"10.9.0.1:31850", "[fd09::1]:31850"} {
		from := "10.9.0.9:1"
		if to[0] == '[' {
			from = "[fd09::9]:1"
		}
		tagged := datagram(0x123, from, to, 10)
		require.True(t, ours(tagged))
		binary.BigEndian.PutUint16(tagged[14:], 0xf123) // with a priority
		require.True(t, ours(tagged))
		require.False(t, ours(datagram(0x124, from, to, 10)))
		require.True(t, ours(datagram(0, from, to, 10)), "the tag is kept beside the frame")
		for n := 14; n < len(tagged)-10; n++ {
			require.False(t, ours(tagged[:n]), "%d bytes", n)
		}
	}
}

// unfinishedAs is a datagram as a kernel gives it to a device: in the place of the checksum
// is the sum of the pseudo-header.
func unfinishedAs(frame []byte, vlan uint16) []byte {
	at, sum := 14, uint32(17)
	if vlan != 0 {
		at = 18
	}
	addrs, udp := frame[at+12:at+20], frame[at+20:]
	if frame[at]>>4 == 6 {
		addrs, udp = frame[at+8:at+40], frame[at+40:]
	}
	sum += uint32(len(udp))
	for ; len(addrs) > 0; addrs = addrs[2:] {
		sum += uint32(binary.BigEndian.Uint16(addrs))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(udp[udpChecksum:], uint16(sum))
	return frame
}

// With a whole checksum it is one datagram, without one it may be many.
func TestTheProgramLeavesTheKernelWhatIsUnfinished(t *testing.T) {
	t.Parallel()
	for _, vlan := range []uint16{0, 0x123} {
		f := ourFilter
		f.vlan, f.whole = vlan, true
		whole := tried(t, f, 50000)
		f.whole = false
		any := tried(t, f, 50000)
		random := rand.New(rand.NewPCG(5, 6))
		for range 500 {
			from, to := netip.MustParseAddr("10.9.0.9"), f.addrs[0]
			if random.IntN(2) > 0 {
				from, to = netip.MustParseAddr("fd09::9"), f.addrs[1+2*random.IntN(2)]
			}
			if to.Is4() != from.Is4() {
				continue
			}
			size := []int{0, 1, 2, random.IntN(1400), random.IntN(3000)}[random.IntN(5)]
			port := []uint16{31850, 50000}[random.IntN(2)]
			frame := datagram(vlan, netip.AddrPortFrom(from, uint16(1+random.IntN(60_000))).String(), netip.AddrPortFrom(to, port).String(), size)
			require.True(t, whole(frame), "%x", frame[:min(80, len(frame))])
			require.True(t, any(frame))
			unfinishedAs(frame, vlan)
			require.False(t, whole(frame), "%x", frame[:min(80, len(frame))])
			require.True(t, any(frame))
		}
	}
}

// Ours too goes on to the kernel where no socket of ours is.
func TestWithoutASocketTheKernelHasIt(t *testing.T) {
	t.Parallel()
	m, err := makeMaps(1)
	if errors.Is(err, unix.EPERM) {
		t.Skip("loading a program takes root, or CAP_BPF and CAP_NET_ADMIN")
	}
	require.NoError(t, err)
	defer m.close()
	for _, frags := range []bool{false, true} {
		p, err := ourFilter.load(m, redirect(), frags)
		require.NoError(t, err)
		verdict, _, err := p.Test(datagram(0, "10.9.0.9:1", "10.9.0.1:31850", 100))
		require.NoError(t, err)
		require.EqualValues(t, xdpPass, verdict)
		require.NoError(t, p.Close())
	}
}
