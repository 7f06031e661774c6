package xdp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// connected has an open transport at each end of a wire, which know each other.
func connected(t *testing.T) (w *wire, near, far transport.Transport) {
	t.Helper()
	w = wired(t, 1500, "10.9.0.1/24", "10.9.0.2/24", "fd09::1/64", "fd09::2/64")
	near, far = opened(t, w.near.xdp(nil)), opened(t, w.far.xdp(nil))
	reaches(t, near, far, far.LocalAddr())
	reaches(t, far, near, near.LocalAddr())
	return w, near, far
}

// The kernel goes on with what is not ours, on the interface that we use.
func TestTheKernelKeepsWhatIsNotOurs(t *testing.T) {
	w, _, _ := connected(t)
	var listener net.Listener
	var plain *net.UDPConn
	require.NoError(t, w.near.space.Do(func() (err error) {
		if listener, err = net.Listen("tcp", "10.9.0.1:0"); err != nil {
			return err
		}
		plain, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(10, 9, 0, 1)})
		return err
	}))
	defer listener.Close()
	defer plain.Close()
	require.NoError(t, w.far.space.Do(func() error {
		conn, err := net.DialTimeout("tcp", listener.Addr().String(), 30*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		ping, err := net.ListenPacket("ip4:icmp", "10.9.0.2")
		if err != nil {
			return err
		}
		defer ping.Close()
		echo := []byte{8, 0, 0xf7, 0xf1, 0, 7, 0, 7} // RFC 792
		if _, err := ping.WriteTo(echo, &net.IPAddr{IP: net.IPv4(10, 9, 0, 1)}); err != nil {
			return err
		}
		answer := make([]byte, 100)
		if err := ping.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return err
		}
		n, _, err := ping.ReadFrom(answer)
		require.Equal(t, []byte{0, 0, 0xff, 0xf1, 0, 7, 0, 7}, answer[:n])
		return errors.Join(err, conformance.InjectUDP(plain.LocalAddr().(*net.UDPAddr).AddrPort(), []byte("not ours")))
	}))
	conn, err := listener.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	text := make([]byte, 100)
	n, err := plain.Read(text)
	require.NoError(t, err)
	require.Equal(t, "not ours", string(text[:n]))
}

// The bpf_link is the process's own, and not pinned.
func TestAKilledProcessLeavesNothingAttached(t *testing.T) {
	const marker = "PEREGRINE_XDP_TEST_KILLED"
	w := wired(t, 1500, fourAddresses...)
	if m := os.Getenv(marker); m != "" {
		opened(t, w.near.xdp(mode(m)))
		_, _ = os.Stdout.WriteString("open\n")
		select {}
	}
	for _, m := range []string{"native", "generic"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), marker+"="+m)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		said := make([]byte, 5)
		_, err = stdout.Read(said)
		require.NoError(t, err)
		require.Equal(t, "open\n", string(said))
		require.NotEmpty(t, w.attached())
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		transporttest.Within(t, func() bool { return w.attached() == "" })
		tr := opened(t, w.near.xdp(mode(m)))
		require.NoError(t, tr.Close())
	}
}

// A link object that nobody refers to takes its program off.
func TestCollectingGarbageDetachesNothing(t *testing.T) {
	w, near, far := connected(t)
	for range 5 {
		runtime.GC()
		time.Sleep(time.Millisecond) // finalizers have a goroutine of their own
	}
	reaches(t, near, far, far.LocalAddr())
	require.Contains(t, w.attached(), "near")
	require.Contains(t, w.attached(), "far")
}

func TestADeviceMayGoDownAndComeBack(t *testing.T) {
	w, near, far := connected(t)
	for _, s := range []side{w.near, w.far} {
		s.set(t, netlink.LinkSetDown)
		route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
		if err == nil { // the kernel may have no route meanwhile
			send(t, near, route, "lost")
			near.Forget(route)
		}
		s.set(t, netlink.LinkSetUp)
		reaches(t, near, far, far.LocalAddr())
		reaches(t, far, near, near.LocalAddr())
	}
}

func TestADeviceMayBeRenamed(t *testing.T) {
	w, near, far := connected(t)
	w.near.set(t, func(l netlink.Link) error { return netlink.LinkSetName(l, "nearer") })
	reaches(t, near, far, far.LocalAddr())
	reaches(t, far, near, near.LocalAddr())
	w.near.name = "nearer"
}

func TestADeviceThatIsGoneEndsItsTransport(t *testing.T) {
	for name, how := range map[string]func(*wire, *testing.T){
		"removed": func(w *wire, t *testing.T) { w.near.set(t, netlink.LinkDel) },
		"moved": func(w *wire, t *testing.T) {
			w.near.set(t, func(l netlink.Link) error { return netlink.LinkSetNsPid(l, os.Getpid()) })
		},
		"lost with the other end": func(w *wire, t *testing.T) { w.far.set(t, netlink.LinkDel) },
	} {
		t.Run(name, func(t *testing.T) {
			w := wired(t, 1500, fourAddresses...)
			near := opened(t, w.near.xdp(nil))
			waited := make(chan error)
			go func() {
				for {
					if err := near.Wait(-1); err != nil {
						waited <- err
						return
					}
					if _, err := near.Recv(make([]transport.RxPacket, 1)); err != nil {
						waited <- err
						return
					}
				}
			}()
			how(w, t)
			select {
			case err := <-waited:
				require.Equal(t, errGone, err)
			case <-time.After(30 * time.Second):
				require.Fail(t, "Wait does not notice")
			}
			_, err := near.Send(make([]transport.TxPacket, 1))
			require.Equal(t, errGone, err)
			if link, err := netlink.LinkByName("near"); err == nil { // it came to us
				require.NoError(t, netlink.LinkDel(link))
			}
		})
	}
}

// A neighbour that changes its MAC is followed as soon as the kernel knows.
func TestANeighbourMayMove(t *testing.T) {
	w, near, far := connected(t)
	route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	mac := net.HardwareAddr{2, 0, 0, 0, 0x12, 0x34}
	w.far.set(t, func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, mac) })
	w.near.set(t, func(l netlink.Link) error {
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: unix.NUD_REACHABLE, IP: net.IPv4(10, 9, 0, 2), HardwareAddr: mac})
	})
	reachesBy(t, near, far, route)
	// The far side's own address is another too, in what it sends.
	reaches(t, far, near, near.LocalAddr())
}

// What the kernel has no room to tell is read again.
func TestAFloodOfNewsHidesNothing(t *testing.T) {
	w, near, far := connected(t)
	route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	events := near.(*queue).port.tables.events
	require.NoError(t, unix.SetsockoptInt(events, unix.SOL_SOCKET, unix.SO_RCVBUF, 0)) // a few messages
	mac := net.HardwareAddr{2, 0, 0, 0, 0x43, 0x21}
	w.far.set(t, func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, mac) })
	w.near.set(t, func(l netlink.Link) error {
		for i := range 500 {
			n := &netlink.Neigh{LinkIndex: l.Attrs().Index, State: unix.NUD_REACHABLE, IP: net.IPv4(10, 9, 0, byte(2+i%200)), HardwareAddr: mac}
			if err := netlink.NeighSet(n); err != nil {
				return err
			}
		}
		return nil
	})
	reachesBy(t, near, far, route)
}

// The way to another network is by the kernel's gateway, and changes with it.
func TestAGatewayIsTheKernels(t *testing.T) {
	w, near, far := connected(t)
	beyond := netip.MustParseAddr("192.0.2.7")
	_, err := near.Resolve(netip.AddrPortFrom(beyond, 7), netip.Addr{})
	require.ErrorContains(t, err, "no route to 192.0.2.7")
	require.ErrorContains(t, err, "ip route get")

	// Two gateways, both of which are the far side; it has the address beyond too.
	w.far.set(t, func(l netlink.Link) error {
		return errors.Join(
			netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: beyond.AsSlice(), Mask: net.CIDRMask(32, 32)}}),
			netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 9, 0, 3), Mask: net.CIDRMask(24, 32)}}))
	})
	_, network, err := net.ParseCIDR("192.0.2.0/24")
	require.NoError(t, err)
	by := func(gateway byte) func(netlink.Link) error {
		return func(l netlink.Link) error {
			return netlink.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: network, Gw: net.IPv4(10, 9, 0, gateway)})
		}
	}
	w.near.set(t, by(2))
	route, err := near.Resolve(netip.AddrPortFrom(beyond, far.LocalAddr().Port()), netip.Addr{})
	require.NoError(t, err)
	reachesBy(t, near, far, route) // also over an address that the interface got later
	d := near.(*queue).routes.Get(uint32(route))
	require.Equal(t, netip.MustParseAddr("10.9.0.2"), d.path.hop.Load().addr)

	w.near.set(t, by(3))
	transporttest.Within(t, func() bool { return d.path.hop.Load().addr == netip.MustParseAddr("10.9.0.3") })
	reachesBy(t, near, far, route)
	w.near.set(t, func(l netlink.Link) error {
		return netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: network})
	})
	reachesBy(t, near, far, route) // nothing better is known
}

func TestAnAddressThatIsTakenAwayReceivesNoMore(t *testing.T) {
	w := wired(t, 1500, "10.9.0.1/24", "10.9.0.2/24", "10.9.0.11/24")
	near, far := opened(t, w.near.xdp(nil)), opened(t, w.far.xdp(nil))
	other := netip.AddrPortFrom(netip.MustParseAddr("10.9.0.11"), near.LocalAddr().Port())
	reaches(t, far, near, other)
	w.near.set(t, func(l netlink.Link) error {
		return netlink.AddrDel(l, &netlink.Addr{IPNet: &net.IPNet{IP: other.Addr().AsSlice(), Mask: net.CIDRMask(24, 32)}})
	})
	transporttest.Within(t, func() bool { return len(near.(*queue).port.view.Load().addrs) == 1 })
	reaches(t, far, near, near.LocalAddr())
	_, err := near.Resolve(far.LocalAddr(), other.Addr())
	require.ErrorContains(t, err, "not an address of near")
}

func TestTsharkFindsOurPacketsValid(t *testing.T) {
	tshark := transporttest.Tshark(t)
	for _, c := range []struct {
		name     string
		mtu      int
		ips      []string
		settings func(*Config)
	}{
		{"IPv4", 1500, fourAddresses, nil},
		{"IPv6", 1500, []string{"fd12::1/64", "fd12::2/64"}, nil},
		{"several frames a packet", 9000, fourAddresses, nil},
		{"generic", 1500, fourAddresses, mode("generic")},
		{"checksums by the kernel", 1500, fourAddresses, func(c *Config) { c.TxChecksum = "on" }},
	} {
		if testing.Short() && (c.settings != nil || c.mtu > 1500) {
			continue // tshark takes its time to start
		}
		t.Run(c.name, func(t *testing.T) {
			w := wired(t, c.mtu, c.ips...)
			near, far := opened(t, w.near.xdp(c.settings)), opened(t, w.far.udp)
			reaches(t, near, far, far.LocalAddr())
			transporttest.Valid(t, tshark, near, far, w.far.name, func(tshark *exec.Cmd) error { return w.far.space.Do(tshark.Start) })
		})
	}
}
