package doctor

import (
	"fmt"
	"strings"
)

// mostXDP is the longest packet that one frame of AF_XDP's memory holds.
const mostXDP = 3822

// nativeMTU is what drivers have room for beside a program without fragments: of
// ena_xdp.h, mlx5's mlx5e_xdp_max_mtu, veth_xdp_set, virtnet_xdp_set, and of the
// 3072 bytes that i40e and ice receive into then.
var nativeMTU = map[string]int{
	"ena": 3498, "mlx5_core": 3498, "veth": 3520, "virtio_net": 3506, "i40e": 3046, "ice": 3046,
}

// nativeDrivers have native mode where the kernel is too old to say so itself.
var nativeDrivers = []string{
	"ena", "mlx5_core", "veth", "virtio_net", "i40e", "ice", "ixgbe", "igb", "igc", "mlx4_en", "bnxt_en", "gve", "hv_netvsc", "mana", "nfp", "qede", "sfc", "tun",
}

// zeroCopyDrivers likewise.
var zeroCopyDrivers = []string{"mlx5_core", "i40e", "ice", "ixgbe", "igb", "igc", "stmmac"}

// xdpMode is what the interface would get.
type xdpMode struct {
	native, zeroCopy bool
}

func modeOf(n *NIC) xdpMode {
	if x := n.Told.XDP; x != nil && x.Known {
		has := func(bits uint64) bool { return x.Features&bits == bits }
		return xdpMode{native: has(xdpBasic | xdpRedirect), zeroCopy: has(xdpZeroCopy)}
	}
	return xdpMode{native: contains(nativeDrivers, n.Driver), zeroCopy: contains(zeroCopyDrivers, n.Driver)}
}

func contains(list []string, name string) bool {
	for _, have := range list {
		if have == name {
			return true
		}
	}
	return false
}

func checkXDP(r *report) {
	if !r.xdpPossible() {
		return
	}
	n := r.NIC
	if n == nil {
		return
	}
	if !n.Ether {
		r.find("xdp-interface", n.Name+" is no Ethernet interface.", "Take one that is: ip -br link.")
		return
	}
	mode := modeOf(n)
	r.checkXDPMTU(n, mode)
	switch {
	case !mode.native:
		r.find("xdp-generic", fmt.Sprintf("The driver of %s (%s) has no native mode: it would be generic.", n.Name, n.Driver))
	case !mode.zeroCopy:
		r.find("xdp-no-zero-copy", fmt.Sprintf("The driver of %s (%s) has no zero-copy.", n.Name, n.Driver))
	}
	if x := n.Told.XDP; x != nil && x.Attached {
		r.find("xdp-program", "A program is on "+n.Name+" already.", "ip -d link show "+n.Name, "sudo ip link set "+n.Name+" xdp off     # if nobody needs it")
	}
	r.checkXDPOffloads(n)
	r.checkXDPQueues(n)
}

// xdpPossible reports what stands against AF_XDP on any interface.
func (r *report) xdpPossible() bool {
	possible := true
	if text := r.Probed.XDPSocket; text != "" && !strings.Contains(text, "not permitted") {
		r.find("xdp-socket", "The kernel refuses an AF_XDP socket: "+text+".",
			"Take a kernel with CONFIG_XDP_SOCKETS.", "Under systemd, add AF_XDP to RestrictAddressFamilies=.")
		possible = false
	}
	lacks := r.Process.lacks("NET_ADMIN", "NET_RAW", "BPF")
	if len(lacks) > 0 {
		do := []string{
			"sudo setcap cap_net_admin,cap_net_raw,cap_bpf+ep ./peregrine     # again after each build",
			"Under systemd: AmbientCapabilities=, without PrivateUsers=.",
		}
		if r.Host.Container != "" {
			do = []string{"Start the container with --network host --cap-add NET_ADMIN --cap-add NET_RAW --cap-add BPF (Kubernetes: hostNetwork, securityContext.capabilities)."}
		}
		r.find("xdp-capabilities", "This process lacks "+strings.Join(lacks, ", ")+".", do...)
	} else if r.Process.UserNamespace {
		r.find("xdp-capabilities", "This process is in a user namespace, where capabilities count for nothing on the host's interfaces.",
			"Run it outside, or in a container that is not rootless.")
	}
	// 4,096 packets lent, and the rings, in frames of 2 KiB: about 16 MB a queue.
	const needed = 16 << 20
	if limit := r.Process.Memlock; limit >= 0 && limit < needed && !r.Process.Capabilities["IPC_LOCK"] {
		r.find("memlock", fmt.Sprintf("The limit of locked memory is %d KiB; a queue of AF_XDP takes about %d MiB.", limit>>10, needed>>20),
			"ulimit -l unlimited     # as root, or raise it in /etc/security/limits.d", "Under systemd: LimitMEMLOCK=infinity.")
	}
	if jit, ok := r.sysctl("net.core.bpf_jit_enable"); ok && jit == 0 {
		r.find("bpf-jit", "net.core.bpf_jit_enable is 0.", "sudo sysctl -w net.core.bpf_jit_enable=1")
	}
	return possible
}

// merges tells whether a hypervisor merges packets and cannot be told to stop it.
func (n *NIC) merges() bool {
	const ctrlGuestOffloads = 2 // the feature's bit
	return n.on("rx-gro-hw") && len(n.Virtio) > ctrlGuestOffloads && n.Virtio[ctrlGuestOffloads] == '0'
}

// checkXDPOffloads looks for merging of packets that stands against native mode.
func (r *report) checkXDPOffloads(n *NIC) {
	if n.on("rx-lro") {
		r.find("xdp-offload", "rx-lro is on on "+n.Name+".", "sudo ethtool -K "+n.Name+" lro off")
	}
	if n.merges() {
		r.find("xdp-offload", "The hypervisor merges packets for "+n.Name+" and cannot be told not to.",
			"Of the hypervisor: QEMU -device virtio-net-pci,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off; or take generic mode.")
	}
}

// nativeFits tells whether the driver has room for the interface's packets beside a program.
func nativeFits(n *NIC) bool { return nativeMTU[n.Driver] == 0 || n.MTU <= nativeMTU[n.Driver] }

func (r *report) checkXDPMTU(n *NIC, mode xdpMode) {
	most := mostXDP
	if limit := nativeMTU[n.Driver]; mode.native && limit != 0 {
		most = limit
	}
	lower := fmt.Sprintf("sudo ip link set %s mtu %d     # for all traffic of the interface", n.Name, most)
	switch {
	case n.MTU > mostXDP:
		r.find("xdp-mtu", fmt.Sprintf("%s has an MTU of %d; in native mode it may have %d, in generic mode %d.", n.Name, n.MTU, most, mostXDP), lower)
	case mode.native && !nativeFits(n):
		r.find("xdp-generic", fmt.Sprintf("%s has an MTU of %d; in native mode it may have %d, so it would be generic.", n.Name, n.MTU, most), lower)
	}
}

func (r *report) checkXDPQueues(n *NIC) {
	queues, loops := n.Queues(), len(r.Asked.CPUs)
	half := 0
	if c := n.Told.Channels; c != nil {
		half = c.MaxCombined / 2
	}
	if n.Driver == "ena" && half > 0 && queues > half && !allQueues(n.Told.Version) {
		r.find("xdp-ena-queues", fmt.Sprintf("%s has %d channels of %d on, with driver %s.", n.Name, queues, 2*half, n.Told.Version),
			fmt.Sprintf("sudo ethtool -L %s combined %d", n.Name, half))
		queues = half
	}
	if queues > 1 && queues != max(1, loops) {
		what := fmt.Sprintf("%s has %s; xdp:// wants a loop for each.", n.Name, count(queues, "receive queue"))
		if loops > 0 {
			what = fmt.Sprintf("%s has %s, and there are %s.", n.Name, count(queues, "receive queue"), count(loops, "loop"))
		}
		r.find("xdp-queues", what,
			fmt.Sprintf("peregrine serve 'xdp://%s?port=31850' --loops %d --plain", n.Name, queues),
			fmt.Sprintf("sudo ethtool -L %s combined %d     # as many queues as loops", n.Name, max(1, loops)))
	}
}

// amazons tells whether a version such as "2.13.0g" is of Amazon's driver; the kernel's
// own has the kernel's, "6.1.0-18-cloud-amd64".
func amazons(version string) bool { return parseVersion(version).Major == 2 }

// allQueues tells whether ENA's driver has a program on all channels.
func allQueues(version string) bool { return amazons(version) && !parseVersion(version).Before(2, 17) }
