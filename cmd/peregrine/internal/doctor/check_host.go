package doctor

import (
	"fmt"
	"math/bits"
	"strings"
)

func checkHost(r *report) {
	if r.CPU.Virtual {
		where, product := "a virtual machine", r.Host.Product
		if !strings.HasPrefix(product, r.Host.Vendor) {
			product = r.Host.Vendor + " " + product
		}
		if product != "" {
			where += " (" + strings.TrimSpace(product) + ")"
		}
		r.find("virtualised", "This is "+where+".")
	}
	if len(r.Unseen) > 0 {
		var paths []string
		for _, u := range r.Unseen {
			paths = append(paths, u.Path)
		}
		r.find("limited-view", fmt.Sprintf("%s could not be read: %s.", count(len(paths), "file"), strings.Join(paths, ", ")), "sudo peregrine doctor")
	}
}

func checkContainer(r *report) {
	p := &r.Process
	if r.Host.Container == "" && p.Seccomp != 2 && !p.UserNamespace {
		return
	}
	var about []string
	if r.Host.Container != "" {
		about = append(about, "This process is in a container ("+r.Host.Container+").")
	}
	if p.Seccomp == 2 {
		about = append(about, "A seccomp filter judges its system calls.")
	}
	if p.UserNamespace {
		about = append(about, "It is in a user namespace.")
	}
	r.find("container", strings.Join(about, " "), "For xdp:// and dpdk:// it takes the host's network, the capabilities and the devices: docs/xdp.md, docs/dpdk.md.")
}

func checkMemory(r *report) {
	if n, _ := r.sysctl("kernel.numa_balancing"); n > 0 && len(r.Memory.Nodes) > 1 {
		r.find("numa-balancing", fmt.Sprintf("kernel.numa_balancing is %d, on %d nodes.", n, len(r.Memory.Nodes)), "sudo sysctl -w kernel.numa_balancing=0")
	}
}

// checkCache is about Intel's DDIO, which is on wherever the processor has it, and
// the kernel's means to divide the cache.
func checkCache(r *report) {
	c := &r.Memory.Resctrl
	server := r.CPU.Vendor == "GenuineIntel" && strings.Contains(r.CPU.Model, "Xeon") && !r.CPU.Virtual
	if server && r.CPU.CacheCAT {
		what, do := "This processor has DDIO.", []string{"If the host polls and reads no disks: leave it, and keep the rings short, so that packets in flight fit into those ways."}
		if c.Mounted && c.Ways > c.Shared && c.Shared > 0 {
			what = fmt.Sprintf("DDIO has %d of %d ways of the last-level cache (mask %x).", c.Shared, c.Ways, c.IOMask)
			do = append(do,
				"If it reads disks much: give what reads them the ways of DDIO only, and the loops the rest:",
				"sudo mkdir /sys/fs/resctrl/disks /sys/fs/resctrl/loops",
				fmt.Sprintf("echo 'L3:0=%x' | sudo tee /sys/fs/resctrl/disks/schemata     # then PIDs into disks/tasks", c.IOMask),
				fmt.Sprintf("echo 'L3:0=%x' | sudo tee /sys/fs/resctrl/loops/schemata     # then threads into loops/tasks", longest(c.Mask&^c.IOMask)))
		} else {
			do = append(do, "If it reads disks much: see its ways, and divide them, with resctrl (cache-resctrl).")
		}
		r.find("cache-ddio", what, do...)
	}
	if c.Known && !c.Mounted && r.CPU.CacheCAT {
		r.find("cache-resctrl", "The kernel can divide the cache, and /sys/fs/resctrl is not mounted.", "sudo mount -t resctrl resctrl /sys/fs/resctrl")
	} else if c.Mounted && c.Ways > 0 {
		r.find("cache-resctrl", fmt.Sprintf("The last-level cache has %d ways to divide.", c.Ways))
	}
}

// longest is the longest run of ones in a mask: processors take no other.
func longest(mask uint64) uint64 {
	var best uint64
	for mask != 0 {
		low := bits.TrailingZeros64(mask)
		length := bits.TrailingZeros64(^(mask >> low))
		run := (uint64(1)<<length - 1) << low
		if bits.OnesCount64(run) > bits.OnesCount64(best) {
			best = run
		}
		mask &^= run
	}
	return best
}
