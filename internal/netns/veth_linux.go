package netns

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Port is one end of a veth pair.
type Port struct {
	// Namespace is where the device lives; nil is that of the calling thread.
	Namespace *Namespace
	// Name is the device's, up to 15 bytes, unique in its namespace.
	Name string
	// MAC is the device's Ethernet address; nil lets the kernel draw one.
	MAC net.HardwareAddr
	// Addresses are the kernel's own, usable at once. Where there are none the
	// kernel is silent: the device is for a backend that does without it.
	Addresses []netip.Prefix
	// Queues is how many transmit and receive queues the device has; 0 is one.
	Queues int
}

// Veth makes two devices of which each receives what the other sends, and
// brings them up. mtu is in bytes, the Ethernet header not counted. The kernel
// cuts datagrams to that size, as for any network card, instead of leaving it to
// the other end; it does leave UDP's checksums to be completed there.
func Veth(mtu int, a, b Port) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = a.Name, mtu, a.MAC
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: b.Name, PeerMTU: uint32(mtu), PeerHardwareAddr: b.MAC}
	pair.NumTxQueues, pair.NumRxQueues = max(1, a.Queues), max(1, a.Queues)
	pair.PeerNumTxQueues, pair.PeerNumRxQueues = uint32(max(1, b.Queues)), uint32(max(1, b.Queues))
	if a.Namespace != nil {
		pair.Namespace = netlink.NsFd(a.Namespace.ref.Fd())
	}
	if b.Namespace != nil {
		pair.PeerNamespace = netlink.NsFd(b.Namespace.ref.Fd())
	} else {
		here, err := unix.Open(threadNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("netns: cannot refer to the calling thread's namespace: %w", err)
		}
		defer unix.Close(here)
		pair.PeerNamespace = netlink.NsFd(here)
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("netns: cannot make the veth pair %s and %s: %w", a.Name, b.Name, err)
	}
	for _, p := range []Port{a, b} {
		if err := p.do(p.start); err != nil {
			return err
		}
	}
	return nil
}

func (p Port) do(f func() error) error {
	if p.Namespace == nil {
		return f()
	}
	return p.Namespace.Do(f)
}

// start gives the device its addresses and brings it up.
func (p Port) start() error {
	link, err := netlink.LinkByName(p.Name)
	if err != nil {
		return fmt.Errorf("netns: %s: %w", p.Name, err)
	}
	if len(p.Addresses) == 0 {
		if err := setSysctl("ipv6.conf."+p.Name+".disable_ipv6", "1"); err != nil {
			return err
		}
	}
	for _, prefix := range p.Addresses {
		addr := &netlink.Addr{
			IPNet: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())},
		}
		if prefix.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("netns: cannot give %s the address %v: %w", p.Name, prefix, err)
		}
	}
	if err := netlink.LinkSetGSOMaxSegs(link, 1); err != nil {
		return fmt.Errorf("netns: cannot have %s send what fits its MTU: %w", p.Name, err)
	}
	return up(p.Name)
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("netns: cannot bring %s up: %w", name, err)
	}
	return nil
}
