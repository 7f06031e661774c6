package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// What the kernel's answers mean, and what to do.

// notPermitted explains an EPERM.
func notPermitted(what string, err error) error {
	if lacks := missing(); lacks != "" {
		return fmt.Errorf("%w: %s takes %s, which this process lacks: run it as root, or give the program "+
			"CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF (setcap cap_net_admin,cap_net_raw,cap_bpf+ep, AmbientCapabilities=): %w",
			transport.ErrUnavailable, what, lacks, err)
	}
	return fmt.Errorf("%w: %s is forbidden though the capabilities are there: they count for nothing in a user namespace "+
		"(PrivateUsers= of systemd, rootless containers), under a seccomp filter without bpf, or where lockdown is on: %w",
		transport.ErrUnavailable, what, err)
}

// unattached explains why the program is not on the interface, in a mode, for packets
// of several frames or not.
func unattached(d *device, mode string, frags bool, err error) error {
	problem := func(format string, args ...any) error {
		return fmt.Errorf("xdp: no %s mode on %s: %s: %w", mode, d.name, fmt.Sprintf(format, args...), err)
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return notPermitted("putting a program on "+d.name, err)
	case errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST):
		name := occupant(d)
		if name == dispatcher {
			return problem("libxdp's %s is there with programs of others, and there is room for one: stop their owner (xdp-loader status %s), "+
				"or remove them by xdp-loader unload %s --all", name, d.name, d.name)
		}
		return problem("another XDP program is there (%s; see ip -d link show %s), and there is room for one: stop its owner, "+
			"or remove it by ip link set %s xdp off", name, d.name, d.name)
	case frags && !errors.Is(err, unix.ENOSPC):
		return problem("its MTU of %d takes several frames a packet, which its driver (%s) or the kernel (Linux 6.6) has not: ip link set %s mtu 3498 is what "+
			"most have room for in one (ENA 3498, veth 3520), and 1500 all", d.mtu, d.driver, d.name)
	case errors.Is(err, unix.ENOSPC):
		return problem("its driver has too few queues for the program: on veth, this end needs as many receive queues as the other has "+
			"transmit queues (ethtool -L %s rx N, or ethtool -L the other end tx N); other drivers want fewer channels (ethtool -L %s combined N)",
			d.name, d.name)
	case errors.Is(err, unix.ERANGE):
		return problem("its MTU of %d is more than the driver has room for beside a program: ip link set %s mtu 3498 is what most have room for "+
			"(ENA 3498, veth 3520), and 1500 all; or take mode=generic", d.mtu, d.name)
	case errors.Is(err, unix.EOPNOTSUPP):
		return problem("its driver (%s) has none: take mode=generic, or a later kernel", d.driver)
	case errors.Is(err, unix.EINVAL):
		return problem("its driver (%s) refuses the present settings, such as LRO or the MTU of %d: ethtool -K %s lro off; the kernel's log may say more",
			d.driver, d.mtu, d.name)
	}
	return problem("dmesg may say why")
}

// dispatcher is the name of the program by which libxdp runs several.
const dispatcher = "xdp_dispatcher"

// occupant names the program that is on an interface of the calling thread's
// namespace, as far as this process may know.
func occupant(d *device) string {
	base, err := netlink.LinkByIndex(d.base)
	if err != nil || base.Attrs().Xdp == nil {
		return "it does not say which"
	}
	id := base.Attrs().Xdp.ProgId
	program, err := ebpf.NewProgramFromID(ebpf.ProgramID(id)) // takes CAP_SYS_ADMIN
	if err != nil {
		return fmt.Sprintf("id %d", id)
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil || info.Name == "" {
		return fmt.Sprintf("id %d", id)
	}
	return info.Name
}

// unsocketed explains why there is no socket, or why it is not bound.
func unsocketed(d *device, queue int, frags bool, err error) error {
	var refusal *xsk.Refusal
	if !errors.As(err, &refusal) {
		return fmt.Errorf("xdp: %w", err)
	}
	where := fmt.Sprintf("queue %d of %s", queue, d.name)
	switch {
	case errors.Is(err, unix.EPERM):
		return notPermitted("an AF_XDP socket", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w: this kernel has no AF_XDP (CONFIG_XDP_SOCKETS), or systemd's RestrictAddressFamilies= lacks AF_XDP: %w",
			transport.ErrUnavailable, err)
	case refusal.Step == "register" && (errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)):
		return fmt.Errorf("xdp: the limit of locked memory is too low for the packet buffers: raise it (ulimit -l, LimitMEMLOCK=), "+
			"give the program CAP_IPC_LOCK, or lower buffers and the rings: %w", err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("xdp: %s is taken by another AF_XDP socket: close it, or take other queues: %w", where, err)
	case frags && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)):
		return fmt.Errorf("xdp: the MTU of %d takes several frames a packet, which this kernel (before Linux 6.6), or the driver of %s without a copy, has not: "+
			"ip link set %s mtu 3498, or zero_copy=off: %w", d.mtu, d.name, d.name, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("xdp: there is no %s that a socket can have: ethtool -l %s shows how many there are: %w", where, d.name, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return wrong("zero_copy", "%s has none (driver %s): take auto or off", where, d.driver)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("xdp: %s is down: ip link set %s up: %w", d.name, d.name, err)
	}
	return fmt.Errorf("xdp: no socket on %s: %w", where, err)
}
