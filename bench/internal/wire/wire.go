package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// The interfaces of the two sides, and their addresses.
const (
	ServerInterface, ServerAddress = "server", "10.9.0.1"
	ClientInterface, ClientAddress = "client", "10.9.0.2"
)

// Wire is a veth pair, whose ends are in namespaces of their own.
type Wire struct{ server, client *netns.Namespace }

// New makes one, which goes with this process at the latest. Each side knows the
// other's Ethernet address for good: who takes all packets of an interface takes
// the kernel's ARP too.
func New() (_ *Wire, err error) {
	var w Wire
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	macs := []net.HardwareAddr{{2, 0, 0, 9, 0, 1}, {2, 0, 0, 9, 0, 2}}
	if w.server, err = netns.New(); err != nil {
		return nil, err
	}
	if w.client, err = netns.New(); err != nil {
		return nil, err
	}
	end := func(n *netns.Namespace, name, address string, mac net.HardwareAddr) netns.Port {
		return netns.Port{Namespace: n, Name: name, MAC: mac, Addresses: []netip.Prefix{netip.MustParsePrefix(address + "/24")}}
	}
	err = netns.Veth(1500, end(w.server, ServerInterface, ServerAddress, macs[0]), end(w.client, ClientInterface, ClientAddress, macs[1]))
	if err != nil {
		return nil, err
	}
	return &w, errors.Join(
		w.server.Do(func() error { return know(ServerInterface, ClientAddress, macs[1]) }),
		w.client.Do(func() error { return know(ClientInterface, ServerAddress, macs[0]) }))
}

// know tells the kernel a neighbour's Ethernet address.
func know(name, address string, mac net.HardwareAddr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(address), HardwareAddr: mac})
}

// Server and Client are prefixes of commands that run on that side: self is the
// program that does [Enter] under the name "enter".
func (w *Wire) Server(self string) []string { return []string{self, "enter", w.server.Path()} }

// Client is the client's.
func (w *Wire) Client(self string) []string { return []string{self, "enter", w.client.Path()} }

// Clear takes XDP programs off both ends, which somebody's process left there.
func (w *Wire) Clear() error {
	return errors.Join(
		w.server.Do(func() error { return clear(ServerInterface) }),
		w.client.Do(func() error { return clear(ClientInterface) }))
}

func clear(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("wire: %w", err)
	}
	for _, mode := range []int{nl.XDP_FLAGS_DRV_MODE, nl.XDP_FLAGS_SKB_MODE} {
		if err := netlink.LinkSetXdpFdWithFlags(link, -1, mode); err != nil {
			return fmt.Errorf("wire: take the XDP program off %s: %w", name, err)
		}
	}
	return nil
}

// Close gives the namespaces up.
func (w *Wire) Close() error {
	var err error
	for _, n := range []*netns.Namespace{w.server, w.client} {
		if n != nil {
			err = errors.Join(err, n.Close())
		}
	}
	return err
}

// Enter runs a program in a namespace, in place of this one: path, program, its
// arguments.
func Enter(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("enter: want a namespace and a program, not %q", args)
	}
	program, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	space, err := os.Open(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // which is the process from exec on
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("setns", err)
	}
	return unix.Exec(program, args[1:], os.Environ())
}
