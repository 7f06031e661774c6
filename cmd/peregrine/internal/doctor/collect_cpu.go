package doctor

import (
	"fmt"
	"slices"
	"strings"
)

func processors(t *tree) CPU {
	info := parseKeyed(t.text("proc/cpuinfo"))
	flags := strings.Fields(info["flags"])
	const system = "sys/devices/system/cpu"
	c := CPU{
		Model: info["model name"], Vendor: info["vendor_id"],
		Virtual:  slices.Contains(flags, "hypervisor"),
		CacheCAT: slices.Contains(flags, "cat_l3"),
		Online:   t.list(system, "online"),
		Isolated: t.list(system, "isolated"),
		NoHZFull: t.list(system, "nohz_full"),
		Stolen:   parseStolen(t.text("proc/stat")),
		Load:     parseLeadingFloat(t.text("proc/loadavg")),
	}
	nodes := nodeOfCPU(t)
	for _, n := range c.Online {
		folder := fmt.Sprintf("%s/cpu%d", system, n)
		c.Cores = append(c.Cores, Core{
			CPU: n, Node: nodes[n],
			Siblings:  t.list(folder, "topology/thread_siblings_list"),
			Governor:  t.text(folder, "cpufreq/scaling_governor"),
			Governors: strings.Fields(t.text(folder, "cpufreq/scaling_available_governors")),
		})
	}
	if len(c.Online) > 0 {
		folder := fmt.Sprintf("%s/cpu%d/cpuidle", system, c.Online[0])
		for _, state := range t.names(folder) {
			c.Idle = append(c.Idle, IdleState{
				Name:     t.text(folder, state, "name"),
				Latency:  t.number(folder, state, "latency"),
				Disabled: t.number(folder, state, "disable") != 0,
			})
		}
	}
	return c
}

const nodesFolder = "sys/devices/system/node"

// nodeNumbers lists the NUMA nodes that are online.
func nodeNumbers(t *tree) []int { return t.list(nodesFolder, "online") }

func nodeOfCPU(t *tree) map[int]int {
	nodes := map[int]int{}
	for _, n := range nodeNumbers(t) {
		for _, cpu := range t.list(fmt.Sprintf("%s/node%d/cpulist", nodesFolder, n)) {
			nodes[cpu] = n
		}
	}
	return nodes
}

// core is the CPU of that number.
func (c *CPU) core(cpu int) *Core {
	for i := range c.Cores {
		if c.Cores[i].CPU == cpu {
			return &c.Cores[i]
		}
	}
	return nil
}
