package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netdev"
	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// device is an interface as it was found.
type device struct {
	name   string
	index  int    // of the interface with the addresses and neighbours
	base   int    // of the one with the queues, which differs for a VLAN
	vlan   uint16 // 0: untagged
	driver string
	// virtual devices deliver what kernels send each other, without checksums.
	virtual bool
	queues  int // that receive
	rss     rss
	speed   uint32 // Mbit/s as the driver says, of a virtual device at random; 0 if it does not
	// checksums says that the driver completes those of what a socket sends.
	checksums bool

	mac netstack.MAC
	mtu int
	up  bool
}

// findDevice looks for an interface in the calling thread's namespace.
func findDevice(handle *netlink.Handle, name string) (*device, error) {
	if _, err := netip.ParseAddrPort(name); err == nil {
		return nil, wrong("interface", "%s is an address, and AF_XDP serves an interface: write its name and the port, such as xdp://eth1?port=31850", name)
	}
	link, err := handle.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, wrong("interface", "there is no %s in this network namespace: see ip link", name)
	}
	if err != nil {
		return nil, fmt.Errorf("xdp: cannot look up %s: %w", name, err)
	}
	base := link
	d := &device{name: name, index: link.Attrs().Index}
	if vlan, is := link.(*netlink.Vlan); is {
		if base, err = handle.LinkByIndex(link.Attrs().ParentIndex); err != nil {
			return nil, fmt.Errorf("xdp: cannot look up the interface below %s: %w", name, err)
		}
		if _, twice := base.(*netlink.Vlan); twice || vlan.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q {
			return nil, wrong("interface", "%s has two VLAN tags, or one of another kind than 802.1Q: take an interface with one", name)
		}
		d.vlan = uint16(vlan.VlanId)
	}
	d.base = base.Attrs().Index
	if !d.update(link) {
		return nil, wrong("interface", "%s is no Ethernet interface: take one that is", name)
	}
	d.virtual = base.Type() != "device"
	return d, d.askDriver(base)
}

// update takes over what may change while the device is open; false means that it
// has no Ethernet address.
func (d *device) update(link netlink.Link) bool {
	a := link.Attrs()
	if a.EncapType != "ether" || len(a.HardwareAddr) != len(d.mac) {
		return false
	}
	d.mac, d.mtu, d.up = netstack.MAC(a.HardwareAddr), a.MTU, a.Flags&net.FlagUp != 0
	return true
}

// askDriver asks what netlink does not tell.
func (d *device) askDriver(base netlink.Link) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("xdp: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	a := base.Attrs()
	d.driver = base.Type()
	if info, err := unix.IoctlGetEthtoolDrvinfo(fd, a.Name); err == nil {
		d.driver = unix.ByteSliceToString(info.Driver[:])
	}
	d.queues = a.NumRxQueues
	if c, errno := getChannels(fd, a.Name); errno == 0 && c.rx+c.combined > 0 {
		d.queues = int(c.rx + c.combined)
	}
	d.rss = askRSS(fd, a.Name)
	d.speed = getSpeed(fd, a.Name)
	features, err := netdev.Of(d.base)
	d.checksums = err == nil && features.TXChecksum()
	return nil
}

// rss is the hash by which the device spreads packets over its queues, where it
// is known: it says so, and it is the usual one.
type rss struct {
	key   []byte
	table []uint16 // the queue for each of the hash's low values
}

func askRSS(fd int, name string) rss {
	const toeplitz, leastKey = 1, 40
	r, err := netdev.ReadRSS(fd, name)
	if err != nil || r.Function != toeplitz || r.Transform != 0 || len(r.Key) < leastKey || len(r.Table) == 0 {
		return rss{}
	}
	known := rss{key: r.Key}
	for _, queue := range r.Table {
		known.table = append(known.table, uint16(queue))
	}
	return known
}

// headroom is what is free in front of a datagram that is sent: room for the
// headers, and a cache line begins behind.
const headroom = 128

// ethernet is the bytes of a frame beside its IP packet, with a tag.
const ethernet = 14 + 4

// linkRate is the speed in bits per second; 0 where it is not known. What a virtual
// device calls its speed is no limit of it.
func (d *device) linkRate() uint64 {
	if d.virtual {
		return 0
	}
	return uint64(d.speed) * 1e6
}

// addrs returns the addresses of the interface that are good beyond the link.
func (d *device) addrs(handle *netlink.Handle) ([]netip.Addr, error) {
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: d.index}}
	list, err := handle.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("xdp: cannot list the addresses of %s: %w", d.name, err)
	}
	var addrs []netip.Addr
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		if addr = addr.Unmap(); ok && a.Flags&unix.IFA_F_TENTATIVE == 0 {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}
