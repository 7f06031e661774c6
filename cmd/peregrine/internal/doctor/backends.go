package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Backend is what the host would give one of them.
type Backend struct {
	Name  string `json:"name"`
	Works bool   `json:"works"`
	How   string `json:"how"`
}

// backends sums up, for each, what was found.
func backends(r *report) []Backend {
	all := []Backend{r.udpBackend(), r.uringBackend(), r.xdpBackend(), r.dpdkBackend()}
	if name := r.Asked.Backend; name != "" {
		all = slices.DeleteFunc(all, func(b Backend) bool { return b.Name != name })
	}
	return all
}

func (r *report) udpBackend() Backend {
	u := r.Probed.UDP
	if u.Error != "" {
		return Backend{"udp", false, u.Error}
	}
	how := []string{}
	if u.SegmentTx {
		how = append(how, "segmentation offload")
	}
	if u.SegmentRx {
		how = append(how, "receive offload")
	}
	if len(how) == 0 {
		how = append(how, "no offloads")
	}
	return Backend{"udp", true, strings.Join(how, ", ")}
}

func (r *report) uringBackend() Backend {
	if !slices.Contains(r.Asked.Built, "iouring") {
		return Backend{"iouring", false, "not in this program"}
	}
	if r.Host.Kernel.Before(6, 1) || r.Probed.IOURing.Error != "" {
		return Backend{"iouring", false, "see " + r.first("uring-kernel", "uring-disabled", "uring-filtered")}
	}
	return Backend{"iouring", true, "Linux " + r.Host.Kernel.Text}
}

func (r *report) xdpBackend() Backend {
	if !slices.Contains(r.Asked.Built, "xdp") {
		return Backend{"xdp", false, "not in this program"}
	}
	if against := r.first("xdp-socket", "xdp-capabilities", "xdp-interface", "xdp-program", "xdp-mtu", "xdp-ena-queues", "memlock"); against != "" {
		return Backend{"xdp", false, "see " + against}
	}
	n := r.NIC
	if n == nil {
		return Backend{"xdp", false, "no interface"}
	}
	mode, how := modeOf(n), "generic mode"
	if mode.native && nativeFits(n) && !n.merges() {
		how = "native mode, copies"
		if mode.zeroCopy {
			how = "native mode, zero-copy"
		}
	}
	return Backend{"xdp", true, fmt.Sprintf("%s on %s, %s", how, n.Name, count(n.Queues(), "queue"))}
}

func (r *report) dpdkBackend() Backend {
	if !slices.Contains(r.Asked.Built, "dpdk") {
		return Backend{"dpdk", false, "not in this program"}
	}
	if against := r.first("dpdk-driver", "dpdk-mlx5-driver", "dpdk-mlx5-modules", "dpdk-privileges", "dpdk-lockdown", "dpdk-iommu", "dpdk-hugepages"); against != "" {
		return Backend{"dpdk", false, "see " + against}
	}
	return Backend{"dpdk", true, fmt.Sprintf("%d MB of hugepages free", r.Memory.hugeFree(-1))}
}

// first is the first of the codes that was found.
func (r *report) first(codes ...string) string {
	for _, code := range codes {
		if r.has(code) {
			return code
		}
	}
	return ""
}
