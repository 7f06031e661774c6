package xdp

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

var fourAddresses = []string{"10.9.0.1/24", "10.9.0.2/24"}

// requireRefused opens and requires an error that says so.
func requireRefused(t *testing.T, s side, settings func(*Config), says ...string) error {
	t.Helper()
	tr, err := s.xdp(settings)(0)
	if err == nil {
		require.NoError(t, tr.Close())
	}
	require.Error(t, err)
	for _, text := range says {
		require.ErrorContains(t, err, text)
	}
	return err
}

func TestAnotherProgramOnTheInterfaceStays(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	for name, says := range map[string]string{"somebodys": "(somebodys; see ip -d link show near)", dispatcher: "xdp-loader unload near --all"} {
		foreign, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()}})
		require.NoError(t, err)
		defer foreign.Close()
		for _, m := range []string{"native", "generic"} {
			var attached link.Link
			w.near.set(t, func(l netlink.Link) (err error) {
				flag := link.XDPDriverMode
				if m == "generic" {
					flag = link.XDPGenericMode
				}
				attached, err = link.AttachXDP(link.XDPOptions{Program: foreign, Interface: l.Attrs().Index, Flags: flag})
				return err
			})
			for _, ours := range modes {
				err := requireRefused(t, w.near, mode(ours), "room for one: stop", says)
				require.True(t, errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST), err)
			}
			require.NotEmpty(t, w.attached())
			require.NoError(t, attached.Close())
		}
	}
	opened(t, w.near.xdp(nil))
}

func TestTooFewQueuesForTheProgramSayEthtool(t *testing.T) {
	w := wiredQueues(t, 1500, 1, 2, fourAddresses...)
	err := requireRefused(t, w.near, mode("native"), "ethtool -L near")
	require.ErrorIs(t, err, unix.ENOSPC)
	tr := opened(t, w.near.xdp(nil))
	require.Contains(t, tr.Caps().Notes[0], "mode is generic")
	require.Contains(t, tr.Caps().Notes[0], "ethtool -L near")
}

func TestAnMTUThatLeavesNoRoomSaysWhatDoes(t *testing.T) {
	d := &device{name: "eth1", mtu: 9001, driver: "ena"}
	for _, frags := range []bool{false, true} {
		err := unattached(d, "native", frags, unix.ERANGE)
		require.ErrorIs(t, err, unix.ERANGE)
		require.ErrorContains(t, err, "MTU of 9001")
		require.ErrorContains(t, err, "ip link set eth1 mtu 3498")
	}
	refusal := &xsk.Refusal{Step: "bind", Err: unix.EOPNOTSUPP}
	require.ErrorContains(t, unsocketed(d, 0, true, refusal), "Linux 6.6")

	w := wired(t, 65535, fourAddresses...)
	requireRefused(t, w.near, nil, "MTU of 65535", "ip link set near mtu 9000")
}

// A device whose driver knows nothing of programs has generic mode only. The kernel
// would choose that without a word, were the mode not named.
func TestADriverWithoutAModeSaysSo(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	require.NoError(t, w.near.space.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "plain"
		for _, l := range []netlink.Link{&netlink.Dummy{LinkAttrs: attrs}, &netlink.Bridge{LinkAttrs: attrs}, &netlink.Ifb{LinkAttrs: attrs}} {
			if err := netlink.LinkAdd(l); !errors.Is(err, unix.EOPNOTSUPP) {
				addr, _ := netlink.ParseAddr("10.12.0.1/24")
				return errors.Join(err, netlink.AddrAdd(l, addr), netlink.LinkSetUp(l))
			}
		}
		t.Skip("this kernel has neither dummies nor bridges")
		return nil
	}))
	plain := side{space: w.near.space, name: "plain"}
	steered := func(m string) func(*Config) { return func(c *Config) { c.Mode, c.Steered = m, true } }
	err := requireRefused(t, plain, steered("native"), "no native mode on plain", "mode=generic")
	require.ErrorIs(t, err, unix.EOPNOTSUPP)
	tr := opened(t, plain.xdp(steered("auto")))
	require.Contains(t, tr.Caps().Notes[0], "mode is generic, which is slower")
}

func TestTooLittleLockedMemorySaysWhatToRaise(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit))
	low := limit
	low.Cur = 1 << 20
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &low))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit)) }()
	require.NoError(t, w.near.space.Do(func() error {
		require.NoError(t, keepOnly(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF)) // but CAP_IPC_LOCK
		_, err := Open(w.near.config(), 0, 1)
		require.ErrorContains(t, err, "locked memory")
		require.ErrorContains(t, err, "ulimit -l")
		return nil
	}))
	require.Empty(t, w.attached())
}

func TestEveryQueueNeedsAnEndpoint(t *testing.T) {
	w := wiredQueues(t, 1500, 4, 4, fourAddresses...)
	requireRefused(t, w.near, nil, "has 4 receive queues", "ethtool -L near", "steered=true")
	requireRefused(t, w.near, func(c *Config) { c.Queue = 4 }, "queues 4 to 4 are wanted", "ethtool -L near")
	opened(t, w.near.xdp(func(c *Config) { c.Queue, c.Steered = 2, true }))
	requireRefused(t, w.near, func(c *Config) { c.Queue, c.Steered = 1, true }, "open with other settings")

	c := w.far.config()
	var trs []transport.Transport
	for i := range 4 {
		tr, err := w.far.open(c, i, 4)
		require.NoError(t, err)
		defer tr.Close()
		trs = append(trs, tr)
		require.Equal(t, trs[0].LocalAddr(), tr.LocalAddr(), "all share one port")
		require.Equal(t, [2]int{i, 4}, [2]int{tr.Caps().Queue, tr.Caps().Queues})
	}
	_, err := w.far.open(c, 1, 4)
	require.ErrorContains(t, err, "in use")
	require.NoError(t, trs[0].Close())
	again, err := w.far.open(c, 0, 4)
	require.NoError(t, err, "a queue is opened again while others are in use")
	require.NoError(t, again.Close())
}

func TestWhatCannotBeOpenedSaysWhy(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	requireRefused(t, w.near, func(c *Config) { c.Interface = "nowhere" }, "no nowhere", "ip link")
	requireRefused(t, w.near, func(c *Config) { c.Interface = "127.0.0.1:31850" }, "is an address", "xdp://eth1?port=31850")
	requireRefused(t, w.near, func(c *Config) { c.Interface = "lo" }, "lo", "Ethernet")
	requireRefused(t, w.near, func(c *Config) { c.IP = []string{"10.9.0.77"} }, "does not have 10.9.0.77", "ip addr add")
	requireRefused(t, w.near, func(c *Config) { c.MTU = 1501 }, "has 1500")
	requireRefused(t, w.near, func(c *Config) { c.ZeroCopy = "on" }, "zero_copy", "driver veth")
	plain, err := w.near.udp(0)
	require.NoError(t, err)
	defer plain.Close()
	requireRefused(t, w.near, func(c *Config) { c.Port = plain.LocalAddr().Port() }, "in use", "ss -ulpn")
	w.near.set(t, func(l netlink.Link) error {
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		for i := range addrs {
			err = errors.Join(err, netlink.AddrDel(l, &addrs[i]))
		}
		return err
	})
	requireRefused(t, w.near, nil, "has no address", "ip addr add")
}

func TestAPortIsTakenFromTheKernelToo(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	tr := opened(t, w.near.xdp(nil))
	_, err := w.near.udp(tr.LocalAddr().Port())
	require.ErrorIs(t, err, unix.EADDRINUSE)
}

// A process that lacks one of them is told which; one that has the three needs no
// other.
func TestAMissingCapabilityIsNamed(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	all := []int{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF}
	open := func(capabilities ...int) (tr transport.Transport, err error) {
		require.NoError(t, w.near.space.Do(func() error { // on a thread that ends with it
			if err := keepOnly(capabilities...); err != nil {
				return err
			}
			c := w.near.config()
			c.RxRing, c.TxRing, c.Buffers = 64, 64, 256 // within the limit of locked memory
			tr, err = Open(c, 0, 1)
			return nil
		}))
		return tr, err
	}
	tr, err := open(all...)
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	for name, without := range map[string][]int{
		"CAP_NET_ADMIN": {unix.CAP_NET_RAW, unix.CAP_BPF},
		"CAP_NET_RAW":   {unix.CAP_NET_ADMIN, unix.CAP_BPF},
		"CAP_BPF":       {unix.CAP_NET_ADMIN, unix.CAP_NET_RAW},
		"CAP_NET_ADMIN and CAP_NET_RAW and CAP_BPF": {},
	} {
		_, err := open(without...)
		require.ErrorIs(t, err, transport.ErrUnavailable)
		require.ErrorIs(t, err, unix.EPERM)
		require.ErrorContains(t, err, "takes "+name+", which", name)
	}
	require.Empty(t, w.attached())
}

// keepOnly drops the calling thread's other capabilities.
func keepOnly(capabilities ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for _, c := range capabilities {
		data[c/32].Effective |= 1 << (c % 32)
		data[c/32].Permitted |= 1 << (c % 32)
	}
	return unix.Capset(&header, &data[0])
}
