//go:build dpdk

package dpdk

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/udp"
)

// opener opens what is at one end of a link, at a port or any.
type opener func(port uint16) (transport.Transport, error)

// link is what two backends are joined by.
type link struct {
	near, far opener
	// nearAlso and farAlso are further addresses of either end.
	nearAlso, farAlso []string
	// nearRefuses and farRefuses say that a kernel is there, which tells of ports
	// that nobody has.
	nearRefuses, farRefuses bool

	order  conformance.Order
	inject func(to netip.AddrPort, datagram []byte) error
	keeps  string
	stays  bool
}

func (l link) factory() conformance.Factory {
	var also []netip.Addr
	for _, ip := range l.farAlso {
		also = append(also, netip.MustParsePrefix(ip).Addr())
	}
	return conformance.Factory{
		Also:    also,
		Refuses: l.farRefuses,
		Open: func(side conformance.Side, addr netip.AddrPort) (transport.Transport, error) {
			return [...]opener{conformance.Near: l.near, conformance.Far: l.far}[side](addr.Port())
		},
		Order:  l.order,
		Inject: l.inject,
		Keeps:  l.keeps,
		Stays:  l.stays,
	}
}

// turned has near and far change places.
func (l link) turned() link {
	order := map[conformance.Order]conformance.Order{conformance.NearHosts: conformance.FarHosts, conformance.FarHosts: conformance.NearHosts}
	l.near, l.far, l.order = l.far, l.near, order[l.order]
	l.nearAlso, l.farAlso = l.farAlso, l.nearAlso
	l.nearRefuses, l.farRefuses = l.farRefuses, l.nearRefuses
	return l
}

// testConfig is a device for tests. EAL's settings are the same in all of them;
// hugepages, which other processes may be about to take, are not for them.
func testConfig(device string, ips ...string) Config {
	c := DefaultConfig()
	c.Device, c.IP, c.Memory, c.Buffers, c.Hugepages = device, ips, 256, 1024, "off"
	return c
}

// opener opens the only queue of a device.
func (c Config) opener() opener {
	return func(port uint16) (transport.Transport, error) {
		c.Port = port
		return Open(c, 0, 1)
	}
}

// folder is where sockets are, the same for a test and the processes it starts.
func folder(t *testing.T) string {
	t.Helper()
	const variable = "PEREGRINE_DPDK_TEST_FOLDER"
	if dir, inherited := os.LookupEnv(variable); inherited {
		return dir
	}
	dir, err := os.MkdirTemp("", "dpdk")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv(variable, dir)
	return dir
}

// ownEpoll is EAL's: its interrupt thread has been seen without it for seconds.
const ownEpoll = "anon_inode:[eventpoll]"

// virtio joins a vhost device, which listens, and a virtio-user device.
func virtio(t *testing.T, args string, ips ...string) link {
	t.Helper()
	near, far := split(ips)
	socket := filepath.Join(folder(t), "virtio")
	return link{
		near:  testConfig("net_vhost0,iface="+socket, near...).opener(),
		far:   testConfig("net_virtio_user0,queue_size=1024,path="+socket+args, far...).opener(),
		order: conformance.NearHosts,
		keeps: ownEpoll,

		nearAlso: near[1:], farAlso: far[1:],
	}
}

// virtioAgain joins two that find each other again, whichever of them comes back:
// virtio-user listens, and vhost looks for it every second.
func virtioAgain(t *testing.T, ips ...string) link {
	t.Helper()
	near, far := split(ips)
	socket := filepath.Join(folder(t), "again")
	return link{
		near:  testConfig("net_virtio_user0,server=1,queue_size=1024,packed_vq=1,path="+socket, near...).opener(),
		far:   testConfig("net_vhost0,client=1,iface="+socket, far...).opener(),
		keeps: ownEpoll,
	}
}

// memif joins two memif devices, of which the server listens. Their driver (22.11)
// does not survive that both are opened and closed in one process again and
// again, never closes the server's socket, and takes the memory that both share from
// under who sends to an end that leaves.
func memif(t *testing.T, ips ...string) link {
	t.Helper()
	near, far := split(ips)
	socket := filepath.Join(folder(t), "memif") + ",socket-abstract=no"
	return link{
		near:  testConfig("net_memif0,role=server,socket="+socket, near...).opener(),
		far:   testConfig("net_memif0,role=client,socket="+socket, far...).opener(),
		order: conformance.NearHosts,
		keeps: "socket:",
		stays: true,
	}
}

// split deals addresses out, by turns.
func split(ips []string) (near, far []string) {
	for i := 0; i < len(ips); i += 2 {
		near, far = append(near, ips[i]), append(far, ips[i+1])
	}
	return near, far
}

// wire is a veth pair: net_af_packet takes one end, and the kernel has the
// other. Both are in one namespace, which needs no second one: the kernel has no
// address at the end that it leaves to DPDK.
type wire struct {
	device string // as EAL takes it
	iface  string // DPDK's end
	kernel string // the other
}

// wired makes a veth pair, with the kernel at those addresses. A process started
// by the test finds it made.
func wired(t *testing.T, name string, kernel ...string) wire {
	t.Helper()
	w := wire{"net_af_packet_" + name + ",framecnt=1024,iface=" + name + "d", name + "d", name + "k"}
	const variable = "PEREGRINE_DPDK_TEST_WIRE"
	if os.Getenv(variable) == name {
		return w
	}
	if os.Geteuid() != 0 {
		t.Skip("a veth pair and packet sockets take root")
	}
	var addresses []netip.Prefix
	for _, ip := range kernel {
		addresses = append(addresses, netip.MustParsePrefix(ip))
	}
	require.NoError(t, netns.Veth(1500, netns.Port{Name: w.iface}, netns.Port{Name: w.kernel, Addresses: addresses}))
	t.Cleanup(func() {
		pair, err := netlink.LinkByName(w.kernel)
		require.NoError(t, err)
		require.NoError(t, netlink.LinkDel(pair))
	})
	t.Setenv(variable, name)
	return w
}

// toKernel joins a device at one end of a wire and plain UDP at the other.
func toKernel(t *testing.T, name string, ips ...string) link {
	t.Helper()
	near, far := split(ips)
	w := wired(t, name, far...)
	return link{near: testConfig(w.device, near...).opener(), far: kernelAt(far[0]), inject: injectWhole, nearAlso: near[1:], farRefuses: true}
}

// kernelAt opens plain UDP at an address.
func kernelAt(ip string) opener {
	addr := netip.MustParsePrefix(ip).Addr()
	return func(port uint16) (transport.Transport, error) {
		c := udp.DefaultConfig()
		c.Address = netip.AddrPortFrom(addr, port).String()
		return udp.Open(c, 0, 1)
	}
}

// injectWhole is conformance.InjectUDP for datagrams that need no fragments.
func injectWhole(to netip.AddrPort, datagram []byte) error {
	if len(datagram) > 1500-headers6 {
		return errors.New("it would arrive in fragments")
	}
	return conformance.InjectUDP(to, datagram)
}
