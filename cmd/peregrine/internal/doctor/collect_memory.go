package doctor

import (
	"fmt"
	"strings"
)

func memory(t *tree) Memory {
	mounts := t.text("proc/mounts")
	var m Memory
	for _, n := range nodeNumbers(t) {
		folder := fmt.Sprintf("%s/node%d", nodesFolder, n)
		m.Nodes = append(m.Nodes, Node{ID: n, CPUs: t.list(folder, "cpulist"), Huge: hugepages(t, folder+"/hugepages")})
	}
	if len(m.Nodes) == 0 { // a kernel without NUMA
		m.Nodes = []Node{{Huge: hugepages(t, "sys/kernel/mm/hugepages")}}
	}
	m.Resctrl = Cache{Known: t.has("sys/fs/resctrl"), Mounted: parseMount(mounts, "resctrl") != ""}
	const l3 = "sys/fs/resctrl/info/L3"
	m.Resctrl.Mask, m.Resctrl.Ways = parseMask(t.text(l3, "cbm_mask"))
	m.Resctrl.IOMask, m.Resctrl.Shared = parseMask(t.text(l3, "shareable_bits"))
	return m
}

func hugepages(t *tree, folder string) []Huge {
	var pools []Huge
	for _, name := range t.names(folder) {
		size, ok := strings.CutPrefix(name, "hugepages-")
		if !ok {
			continue
		}
		pools = append(pools, Huge{
			KB:    leading(strings.ReplaceAll(size, "kB", " ")),
			Total: t.number(folder, name, "nr_hugepages"),
			Free:  t.number(folder, name, "free_hugepages"),
		})
	}
	return pools
}

// hugeFree is how many MB of hugepages are free, on a node or, if that is
// negative, on all.
func (m *Memory) hugeFree(node int) int {
	kb := 0
	for _, n := range m.Nodes {
		for _, h := range n.Huge {
			if node < 0 || n.ID == node {
				kb += h.KB * h.Free
			}
		}
	}
	return kb >> 10
}
