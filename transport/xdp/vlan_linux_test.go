package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/internal/waiter"
	"github.com/peregrine-rpc/peregrine/transport"
)

// A VLAN is an interface of the kernel's. What another kernel sends on one has its
// tag beside the frame; what we send has it inside. Where the kernel has no VLANs, its
// interface is tagged as one, and the transport told so.
func TestConformanceOnAVLAN(t *testing.T) {
	for _, peer := range []string{"xdp", "udp"} {
		if peer == "xdp" && testing.Short() {
			continue
		}
		t.Run(peer, func(t *testing.T) {
			w := wired(t, 1500, fourAddresses...)
			near, far := w.near.onVLAN(t, 7, 1), w.far.onVLAN(t, 7, 2)
			if peer == "udp" {
				far = w.far.udp
			}
			conformance.Transport(t, w.between(near, far))
		})
	}
}

// onVLAN puts the side on a VLAN, and returns what opens this backend there.
func (s *side) onVLAN(t *testing.T, vlan uint16, host byte) opener {
	t.Helper()
	lacking := false
	s.set(t, func(l netlink.Link) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex = fmt.Sprintf("%s.%d", s.name, vlan), l.Attrs().Index
		v := &netlink.Vlan{LinkAttrs: attrs, VlanId: int(vlan), VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
		err := netlink.LinkAdd(v)
		if lacking = errors.Is(err, unix.EOPNOTSUPP); lacking {
			return nil // no CONFIG_VLAN_8021Q
		}
		ip := &net.IPNet{IP: net.IPv4(10, 7, 0, host), Mask: net.CIDRMask(24, 32)}
		return errors.Join(err, netlink.AddrAdd(v, &netlink.Addr{IPNet: ip}), netlink.LinkSetUp(v), netlink.LinkSetGSOMaxSegs(v, 1))
	})
	if lacking {
		s.tag(t, int32(vlan))
		return func(port uint16) (transport.Transport, error) {
			tr, err := s.xdp(nil)(port)
			if err == nil {
				onVLAN(t, tr, vlan)
			}
			return tr, err
		}
	}
	s.name += fmt.Sprintf(".%d", vlan)
	s.addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 7, 0, host})}
	return s.xdp(nil)
}

// onVLAN has an open transport behave as one on a VLAN's interface, also where the
// kernel has none.
func onVLAN(t *testing.T, tr transport.Transport, vlan uint16) {
	t.Helper()
	p := tr.(*queue).port
	require.NoError(t, errors.Join(p.tables.stop(), p.tables.waiter.Close()))
	p.device.vlan = vlan
	require.NoError(t, p.look())
	require.NoError(t, p.replace(p.view.Load().addrs))
	var err error
	p.tables.waiter, err = waiter.New()
	require.NoError(t, err)
	require.NoError(t, p.follow())
	take(t, tr) // the queue takes it over
}

func TestATagMayBeInTheFrame(t *testing.T) {
	_, near, far := connected(t)
	onVLAN(t, near, 7)
	onVLAN(t, far, 7)
	reaches(t, near, far, far.LocalAddr())
	reaches(t, far, near, near.LocalAddr())

	// On another VLAN its frames are the kernel's.
	onVLAN(t, near, 8)
	route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	send(t, near, route, "to another VLAN")
	onVLAN(t, near, 7)
	var got []string
	transporttest.Within(t, func() bool {
		send(t, near, route, "to this one")
		texts, _ := take(t, far)
		got = append(got, texts...)
		return slices.Contains(got, "to this one")
	})
	require.NotContains(t, got, "to another VLAN")
}

// A kernel's tag is beside the frame, on veth and in devices that take tags off.
func TestATagMayBeBesideTheFrame(t *testing.T) {
	for _, m := range []string{"native", "generic"} {
		t.Run(m, func(t *testing.T) {
			w := wired(t, 1500, fourAddresses...)
			near, far := opened(t, w.near.xdp(mode(m))), opened(t, w.far.udp)
			reaches(t, near, far, far.LocalAddr()) // neighbours are found without tags
			onVLAN(t, near, 7)
			w.far.tag(t, 7)
			w.near.tag(t, 7) // for what goes by the kernel there, as on a VLAN's interface
			reaches(t, near, far, far.LocalAddr())
			reaches(t, far, near, near.LocalAddr())
		})
	}
}

// tag has the kernel tag all that it sends by the interface, and untag what it
// receives.
func (s side) tag(t *testing.T, vlan int32) {
	t.Helper()
	for attach, work := range map[ebpf.AttachType]asm.Instructions{
		ebpf.AttachTCXEgress:  {asm.Mov.Imm(asm.R2, wire16(0x8100)), asm.Mov.Imm(asm.R3, vlan), asm.FnSkbVlanPush.Call()},
		ebpf.AttachTCXIngress: {asm.FnSkbVlanPop.Call()},
	} {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL",
			Instructions: append(work, asm.Mov.Imm(asm.R0, 0), asm.Return())})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, program.Close()) })
		s.set(t, func(l netlink.Link) error {
			attached, err := link.AttachTCX(link.TCXOptions{Program: program, Interface: l.Attrs().Index, Attach: attach})
			if err == nil {
				t.Cleanup(func() { require.NoError(t, attached.Close()) })
			}
			return err
		})
	}
}
