package netstack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = int64(time.Millisecond)

// link joins stations, and keeps what they send. A frame reaches all others at once.
type link struct {
	t        *testing.T
	now      int64
	stations []*Stack
	dead     map[*Stack]bool
	frames   [][]byte
}

func newLink(t *testing.T, configs ...Config) *link {
	l := &link{t: t, dead: make(map[*Stack]bool)}
	for _, c := range configs {
		l.stations = append(l.stations, newStack(t, c))
	}
	return l
}

// run carries what a call emits, and the answers, until there is silence. It returns the number of frames.
func (l *link) run(from *Stack, call func(emit func([]byte))) int {
	type flight struct {
		from  *Stack
		frame []byte
	}
	var queue []flight
	emitter := func(s *Stack) func([]byte) {
		return func(b []byte) { queue = append(queue, flight{s, append([]byte(nil), b...)}) }
	}
	call(emitter(from))
	sent := 0
	for ; len(queue) > 0; queue = queue[1:] {
		sent++
		f := queue[0]
		l.frames = append(l.frames, f.frame)
		for _, s := range l.stations {
			p := s.Parser()
			if s != f.from && !l.dead[s] && !l.dead[f.from] && p.Parse(f.frame, 0, new(Datagram)) == ForStack {
				s.Input(l.now, f.frame, emitter(s))
			}
		}
	}
	return sent
}

func (l *link) resolve(s *Stack, dst string) (netip.Addr, *Neighbour) {
	var from netip.Addr
	var n *Neighbour
	l.run(s, func(emit func([]byte)) {
		var err error
		from, n, err = s.Resolve(l.now, addr(dst), netip.Addr{}, emit)
		require.NoError(l.t, err)
	})
	return from, n
}

// pass lets time pass, in steps of 10 ms, and returns when a station sent something, in ms from now.
func (l *link) pass(s *Stack, d time.Duration) (at []int64) {
	for start, end := l.now, l.now+int64(d); l.now < end; {
		l.now += 10 * ms
		if l.run(s, func(emit func([]byte)) { s.Tick(l.now, emit) }) > 0 {
			at = append(at, (l.now-start)/ms)
		}
	}
	return at
}

func requireMAC(t *testing.T, n *Neighbour, last byte) {
	t.Helper()
	mac, known := n.MAC()
	require.True(t, known)
	require.Equal(t, MAC{2, 0, 0, 0, 0, last}, mac)
}

func requireUnknown(t *testing.T, n *Neighbour) {
	t.Helper()
	_, known := n.MAC()
	require.False(t, known)
}

func TestANeighbourIsAskedForAsTheKernelAsks(t *testing.T) {
	t.Parallel()
	l := newLink(t, linuxConfig(1), linuxConfig(2))
	from, n := l.resolve(l.stations[0], "10.9.8.2")
	require.Equal(t, addr("10.9.8.1"), from)
	requireMAC(t, n, 2)
	from, n = l.resolve(l.stations[0], "fd00:9::2")
	require.Equal(t, addr("fd00:9::1"), from)
	requireMAC(t, n, 2)
	require.Equal(t, [][]byte{
		unhex(t, kernelARPRequest), unhex(t, kernelARPReply), unhex(t, kernelSolicitation), unhex(t, kernelAdvertisement),
	}, l.frames)
	require.Equal(t, uint64(2), l.stations[0].Generation())
}

func TestWhoAsksForUsNeedNotBeAskedFor(t *testing.T) {
	t.Parallel()
	l := newLink(t, linuxConfig(1), linuxConfig(2))
	for _, c := range []struct{ from, to string }{{"10.9.8.1", "10.9.8.2"}, {"fd00:9::1", "fd00:9::2"}} {
		l.resolve(l.stations[0], c.to)
		sent := len(l.frames)
		_, n := l.resolve(l.stations[1], c.from)
		requireMAC(t, n, 1)
		require.Len(t, l.frames, sent)
	}
}

func TestANeighbourThatIsNotThereIsAskedForUntilItIs(t *testing.T) {
	t.Parallel()
	for _, dst := range []string{"10.9.8.2", "fd00:9::2"} {
		l := newLink(t, linuxConfig(1), linuxConfig(2))
		l.dead[l.stations[1]] = true
		_, n := l.resolve(l.stations[0], dst)
		require.Equal(t, []int64{100, 200, 1200, 2200, 3200}, l.pass(l.stations[0], 4*time.Second))
		requireUnknown(t, n)
		l.pass(l.stations[0], time.Hour)

		l.dead[l.stations[1]] = false
		l.pass(l.stations[0], time.Second)
		requireMAC(t, n, 2)
	}
}

func TestANeighbourInUseIsAskedAgainAndOthersAreNot(t *testing.T) {
	t.Parallel()
	for _, dst := range []string{"10.9.8.2", "fd00:9::2"} {
		l := newLink(t, linuxConfig(1), linuxConfig(2))
		_, n := l.resolve(l.stations[0], dst)
		l.frames = nil
		require.Equal(t, []int64{30_000, 60_000}, l.pass(l.stations[0], 70*time.Second))
		require.Equal(t, []byte{2, 0, 0, 0, 0, 2}, l.frames[0][:6], "the one that it is, and not everybody")
		require.Equal(t, uint64(1), l.stations[0].Generation())

		l.stations[0].Forget(n)
		require.Empty(t, l.pass(l.stations[0], time.Hour))
		l.frames = nil
		_, again := l.resolve(l.stations[0], dst)
		require.Same(t, n, again)
		require.Len(t, l.frames, 2, "what is known is used, and verified")
	}
}

func TestAPeerThatComesBackWithAnotherMACIsFound(t *testing.T) {
	t.Parallel()
	for _, dst := range []string{"10.9.8.2", "fd00:9::2"} {
		l := newLink(t, linuxConfig(1), linuxConfig(2))
		_, n := l.resolve(l.stations[0], dst)
		l.dead[l.stations[1]] = true
		l.pass(l.stations[0], time.Minute)
		requireMAC(t, n, 2) // what it had last

		c := linuxConfig(2)
		c.MAC[5] = 9
		l.stations[1] = newStack(t, c)
		l.pass(l.stations[0], time.Second)
		requireMAC(t, n, 9)
		require.Equal(t, uint64(2), l.stations[0].Generation())
	}
}

func TestAnAnnouncementIsBelievedOfThoseWeKnow(t *testing.T) {
	t.Parallel()
	l := newLink(t, linuxConfig(1), linuxConfig(2), linuxConfig(3))
	_, n := l.resolve(l.stations[0], "10.9.8.2")
	_, n6 := l.resolve(l.stations[0], "fd00:9::2")

	c := linuxConfig(2)
	c.MAC[5] = 9
	l.stations[1] = newStack(t, c)
	l.run(l.stations[1], l.stations[1].Announce)
	requireMAC(t, n, 9)
	requireMAC(t, n6, 9)
	require.Len(t, l.stations[0].neighbours.table, 2, "the link-local address is a stranger's")
	require.Empty(t, l.stations[2].neighbours.table)
}

// unassuming is an advertisement of fd00:9::2 to station 1, by a MAC that ends so, which may not override another.
func unassuming(last byte) []byte {
	said := append([]byte{136, 0, 0, 0, 0, 0, 0, 0}, addr("fd00:9::2").AsSlice()...)
	said = append(said, optionTargetMAC, 1, 2, 0, 0, 0, 0, last)
	return change(icmpFrame(addr("fd00:9::2"), addr("fd00:9::1"), 255, said...), 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, last)
}

func TestAnAdvertisementThatMayNotOverrideOnlyRaisesDoubts(t *testing.T) {
	t.Parallel()
	l := newLink(t, linuxConfig(1), linuxConfig(2))
	_, n := l.resolve(l.stations[0], "fd00:9::2")
	l.stations[0].Input(l.now, unassuming(9), nil)
	requireMAC(t, n, 2)
	require.Equal(t, []int64{10}, l.pass(l.stations[0], time.Second))
	requireMAC(t, n, 2)
}

func TestAnAdvertisementThatMayNotOverrideTeachesWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	l := newLink(t, linuxConfig(1))
	_, n := l.resolve(l.stations[0], "fd00:9::2")
	requireUnknown(t, n)
	l.stations[0].Input(l.now, unassuming(9), nil)
	requireMAC(t, n, 9)

	l.now += reachable - ms
	l.stations[0].Input(l.now, unassuming(9), nil)
	require.Empty(t, l.pass(l.stations[0], 29*time.Second), "it has confirmed what is known")
}

func TestAnAnswerWithoutAMACConfirmsTheOneThatWasAsked(t *testing.T) {
	t.Parallel()
	l := newLink(t, linuxConfig(1), linuxConfig(2))
	_, n := l.resolve(l.stations[0], "fd00:9::2")
	l.dead[l.stations[1]] = true
	l.now += reachable - ms
	short := append([]byte{136, 0, 0, 0, flagSolicited >> 24, 0, 0, 0}, addr("fd00:9::2").AsSlice()...)
	frame := change(icmpFrame(addr("fd00:9::2"), addr("fd00:9::1"), 255, short...), 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
	l.stations[0].Input(l.now, frame, nil)
	requireMAC(t, n, 2)
	require.Empty(t, l.pass(l.stations[0], 29*time.Second))
}

func TestAnAdvertisementThatCannotBeTeachesNothing(t *testing.T) {
	t.Parallel()
	for _, last := range [][]byte{
		{},                                     // unsolicited, and of no MAC
		{optionTargetMAC, 1, 2, 0, 0, 0, 0, 1}, // of ours
		{optionTargetMAC, 1, 0x33, 0, 0, 0, 0, 1},
	} {
		l := newLink(t, linuxConfig(1))
		_, n := l.resolve(l.stations[0], "fd00:9::2")
		message := append([]byte{136, 0, 0, 0, 0, 0, 0, 0}, addr("fd00:9::2").AsSlice()...)
		frame := icmpFrame(addr("fd00:9::2"), addr("fd00:9::1"), 255, append(message, last...)...)
		l.stations[0].Input(0, change(frame, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2), nil)
		requireUnknown(t, n)
		require.Equal(t, uint64(1), l.stations[0].Counters().Ignored)
	}
}

func TestANeighbourIsInUseUntilTheLastRouteIsForgotten(t *testing.T) {
	t.Parallel()
	l := newLink(t, linuxConfig(1))
	_, n := l.resolve(l.stations[0], "10.9.8.2")
	_, same := l.resolve(l.stations[0], "10.9.8.2")
	require.Same(t, n, same)
	l.stations[0].Forget(n)
	require.NotEmpty(t, l.pass(l.stations[0], 5*time.Second))
	l.stations[0].Forget(n)
	require.Empty(t, l.pass(l.stations[0], 5*time.Second))
}

func TestAnUnaskedAnswerTeachesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(1))
	require.Empty(t, ask(s, unhex(t, kernelARPReply)))
	require.Empty(t, ask(s, unhex(t, kernelAdvertisement)))
	require.Empty(t, s.neighbours.table)
	require.Equal(t, Counters{Ignored: 2}, s.Counters())
}

func TestAStrangerFromAnotherNetworkIsAnsweredAndNotLearnt(t *testing.T) {
	t.Parallel()
	s := newStack(t, linuxConfig(2))
	require.Len(t, ask(s, change(unhex(t, kernelARPRequest), 28, 172, 16, 0, 1)), 1)
	require.Empty(t, s.neighbours.table)
}

func TestTheWayToADestination(t *testing.T) {
	t.Parallel()
	c := linuxConfig(1)
	c.Addrs = append(c.Addrs, netip.MustParsePrefix("192.168.7.1/31"))
	c.Gateways = []netip.Addr{addr("192.168.7.0"), addr("fe80::99")}
	s := newStack(t, c)
	for _, c := range []struct{ dst, from, hop string }{
		{"10.9.8.77", "10.9.8.1", "10.9.8.77"},
		{"::ffff:10.9.8.77", "10.9.8.1", "10.9.8.77"},
		{"8.8.8.8", "192.168.7.1", "192.168.7.0"},
		{"192.168.7.0", "192.168.7.1", "192.168.7.0"},
		{"fd00:9::77", "fd00:9::1", "fd00:9::77"},
		{"fe80::77%eth0", "fe80::ff:fe00:1", "fe80::77"},
		{"2001:db8::1", "fd00:9::1", "fe80::99"},
	} {
		from, n, err := s.Resolve(0, addr(c.dst), netip.Addr{}, func([]byte) {})
		require.NoError(t, err)
		require.Equal(t, addr(c.from), from, c.dst)
		require.Equal(t, addr(c.hop), n.addr, c.dst)
	}
}

func TestAGatewayIsOnTheLinkOfAStationThatIsAloneOnItsNetwork(t *testing.T) {
	t.Parallel()
	c := Config{
		MAC: MAC{2, 0, 0, 0, 0, 7}, MTU: 1460, Addrs: []netip.Prefix{netip.MustParsePrefix("10.128.0.7/32")},
		Gateways: []netip.Addr{addr("10.128.0.1")},
	}
	router := Config{MAC: MAC{2, 0, 0, 0, 0, 1}, MTU: 1460, Addrs: []netip.Prefix{netip.MustParsePrefix("10.128.0.1/20")}}
	l := newLink(t, c, router)
	from, n := l.resolve(l.stations[0], "10.128.0.8")
	require.Equal(t, addr("10.128.0.7"), from)
	requireMAC(t, n, 1)

	_, n = l.resolve(l.stations[1], "10.128.0.7")
	requireMAC(t, n, 7)
	require.Len(t, l.frames, 2, "the gateway has asked for us, or is known")
}

func TestADestinationThatCannotBeReachedSaysWhy(t *testing.T) {
	t.Parallel()
	only4 := newStack(t, Config{MAC: MAC{2, 0, 0, 0, 0, 1}, MTU: 1500, Addrs: linuxConfig(1).Addrs[:1]})
	both := newStack(t, linuxConfig(1))
	for _, c := range []struct {
		s            *Stack
		dst, because string
	}{
		{only4, "2001:db8::1", "there is no IPv6 address"},
		{both, "8.8.8.8", "give an IPv4 gateway"},
		{both, "2001:db8::1", "give an IPv6 gateway"},
		{both, "10.9.8.1", "this station's own"},
		{both, "fe80::ff:fe00:1", "this station's own"},
		{both, "10.9.8.255", "unicast"},
		{both, "10.9.8.0", "unicast"},
		{both, "255.255.255.255", "unicast"},
		{both, "239.1.1.1", "unicast"},
		{both, "0.0.0.0", "unicast"},
		{both, "127.0.0.1", "unicast"},
		{both, "::", "unicast"},
		{both, "::1", "unicast"},
		{both, "ff02::1", "unicast"},
	} {
		_, _, err := c.s.Resolve(0, addr(c.dst), netip.Addr{}, nil)
		require.ErrorContains(t, err, c.because, c.dst)
	}
	_, _, err := both.Resolve(0, netip.Addr{}, netip.Addr{}, nil)
	require.ErrorContains(t, err, "unicast")
}

// wide is a station on a network with more hosts than its table holds.
func wide(t *testing.T) *Stack {
	c := linuxConfig(1)
	c.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}
	return newStack(t, c)
}

func host(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24|1<<16|uint32(i))
	return netip.AddrFrom4(b)
}

func TestStrangersDoNotDriveOutThoseThatExist(t *testing.T) {
	t.Parallel()
	s := wide(t)
	drop := func([]byte) {}
	_, used, err := s.Resolve(0, host(0), netip.Addr{}, drop)
	require.NoError(t, err)
	s.hear(0, host(1), MAC{2, 1}, true)
	for i := range 3 * maxNeighbours {
		_, n, err := s.Resolve(0, host(2+i), netip.Addr{}, drop)
		require.NoError(t, err)
		s.Forget(n)
		s.Forget(n) // once too often
	}
	require.Len(t, s.neighbours.table, maxNeighbours)
	require.Same(t, used, s.neighbours.table[host(0)])
	require.Contains(t, s.neighbours.table, host(1))
}

func TestATableThatIsInUseIsFull(t *testing.T) {
	t.Parallel()
	s := wide(t)
	drop := func([]byte) {}
	var last *Neighbour
	for i := range maxNeighbours {
		_, n, err := s.Resolve(0, host(i), netip.Addr{}, drop)
		require.NoError(t, err)
		last = n
	}
	_, _, err := s.Resolve(0, host(maxNeighbours), netip.Addr{}, drop)
	require.ErrorContains(t, err, "through a gateway")
	require.False(t, s.hear(0, host(maxNeighbours), MAC{2, 1}, true))

	s.Forget(last)
	_, _, err = s.Resolve(0, host(maxNeighbours), netip.Addr{}, drop)
	require.NoError(t, err)
}

func TestManyThatAreDueAreAskedByAndBy(t *testing.T) {
	t.Parallel()
	s := wide(t)
	sent := 0
	count := func([]byte) { sent++ }
	for i := range 1000 {
		_, _, err := s.Resolve(0, host(i), netip.Addr{}, count)
		require.NoError(t, err)
	}
	sent = 0
	s.Tick(firstRetry, count)
	require.Equal(t, maxSolicitations, sent)
	for range 1000 / maxSolicitations {
		s.Tick(firstRetry, count)
	}
	require.Equal(t, 1000, sent)
}
