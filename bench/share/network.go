package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// Where the two sides are, and by which way they reach each other.
const (
	clientAddress, clientGateway = "10.9.1.2", "10.9.1.1"
	serverAddress, serverGateway = "10.9.2.2", "10.9.2.1"
	mtu                          = 1500
)

// path is a bottleneck and the way to it.
type path struct {
	rate  int           // bits per second
	trip  time.Duration // without queues; 0: what the kernel takes, and its tbf is the bottleneck
	queue time.Duration // the longest
	marks bool          // by ECN, see relay.go
	loss  float64       // by chance, each way
}

func (p path) String() string {
	name := fmt.Sprintf("%s, %v", rateName(p.rate), p.trip)
	if p.trip == 0 {
		name = rateName(p.rate) + ", `tbf`"
	}
	if p.marks {
		name += ", ECN"
	}
	if p.loss > 0 {
		name += fmt.Sprintf(", %g %% loss", 100*p.loss)
	}
	return name
}

func rateName(bits int) string {
	if bits >= 1e9 {
		return fmt.Sprintf("%g Gbit/s", float64(bits)/1e9)
	}
	return fmt.Sprintf("%g Mbit/s", float64(bits)/1e6)
}

// bytes is how many pass in d.
func (p path) bytes(d time.Duration) int { return int(float64(p.rate) / 8 * d.Seconds()) }

// network is a client and a server, in namespaces of their own, and what is
// between them.
type network struct {
	client, server, router *netns.Namespace
	relay                  *relay
}

// build makes the network of a path.
func build(p path) (_ *network, err error) {
	var n network
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	for _, ns := range []**netns.Namespace{&n.client, &n.server, &n.router} {
		if *ns, err = netns.New(); err != nil {
			return nil, err
		}
	}
	if p.trip > 0 {
		err = n.relayed(p)
	} else {
		err = n.routed(p)
	}
	if err != nil {
		return nil, err
	}
	// What a default system has differs: what is compared shall not.
	common := func() error {
		return errors.Join(set("net/ipv4/tcp_ecn", "1"), set("net/ipv4/tcp_no_metrics_save", "1"))
	}
	return &n, errors.Join(n.client.Do(common), n.server.Do(common))
}

// routed has the kernel forward, with a token bucket toward the server.
func (n *network) routed(p path) error {
	port := func(ns *netns.Namespace, name, addr string) netns.Port {
		return netns.Port{Namespace: ns, Name: name, Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(addr), 24)}}
	}
	return errors.Join(
		netns.Veth(mtu, port(n.client, "out", clientAddress), port(n.router, "client", clientGateway)),
		netns.Veth(mtu, port(n.server, "out", serverAddress), port(n.router, "server", serverGateway)),
		n.client.Do(func() error { return route(clientGateway) }),
		n.server.Do(func() error { return route(serverGateway) }),
		n.router.Do(func() error {
			return errors.Join(set("net/ipv4/ip_forward", "1"), bucket("server", p))
		}))
}

// route sends everything to a gateway.
func route(gateway string) error {
	link, err := netlink.LinkByName("out")
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: netip.MustParseAddr(gateway).AsSlice()})
}

// bucket bounds what leaves by a device.
func bucket(name string, p path) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	rate := uint64(p.rate / 8)
	burst := uint32(max(16<<10, p.bytes(500*time.Microsecond)))
	err = netlink.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       rate, Limit: uint32(p.bytes(p.queue)), Buffer: netlink.Xmittime(rate, burst),
	})
	if err != nil {
		return fmt.Errorf("tbf at %s: %w", name, err)
	}
	return nil
}

// relayed has this process forward.
func (n *network) relayed(p path) error {
	var client, server *os.File
	err := errors.Join(
		n.client.Do(func() (err error) { client, err = tunnel(clientAddress, serverAddress); return err }),
		n.server.Do(func() (err error) { server, err = tunnel(serverAddress, clientAddress); return err }))
	if err == nil {
		n.relay = newRelay(p, client, server)
	}
	return err
}

// tunnel makes a device whose packets this process reads and writes.
func tunnel(own, peer string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq("out")
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a tunnel: %w", err), unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "tun")
	link, err := netlink.LinkByName("out")
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	to := netip.MustParseAddr(peer)
	addr, err := netlink.ParseAddr(own + "/32")
	if err == nil {
		err = errors.Join(
			netlink.LinkSetMTU(link, mtu), netlink.LinkSetTxQLen(link, 10_000), netlink.AddrAdd(link, addr), netlink.LinkSetUp(link),
			netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: netlink.NewIPNet(to.AsSlice())}))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up a tunnel: %w", err), file.Close())
	}
	return file, nil
}

func (n *network) close() error {
	var err error
	if n.relay != nil {
		err = n.relay.close()
	}
	for _, ns := range []*netns.Namespace{n.client, n.server, n.router} {
		if ns != nil {
			err = errors.Join(err, ns.Close())
		}
	}
	return err
}

// set writes a setting of the calling thread's namespace.
func set(name, value string) error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0o644) }
