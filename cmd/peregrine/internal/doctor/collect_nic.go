package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A network device's class begins so.
const networkClass = "0x02"

const pciFolder = "sys/bus/pci/devices"

func devices(t *tree) []Device {
	var found []Device
	for _, address := range t.names(pciFolder) {
		folder := pciFolder + "/" + address
		if !strings.HasPrefix(t.text(folder, "class"), networkClass) {
			continue
		}
		d := Device{
			Address:  address,
			Vendor:   t.text(folder, "vendor"),
			ID:       t.text(folder, "device"),
			Driver:   parseUevent(t.text(folder, "uevent"))["DRIVER"],
			Node:     t.numberOr(-1, folder, "numa_node"),
			IOMMU:    t.has(folder, "iommu_group/type"),
			Speed:    parseLeadingFloat(t.text(folder, "current_link_speed")),
			MaxSpeed: parseLeadingFloat(t.text(folder, "max_link_speed")),
			Width:    t.number(folder, "current_link_width"),
			MaxWidth: t.number(folder, "max_link_width"),
		}
		d.Interfaces = t.names(folder, "net")
		for _, child := range t.names(folder) { // of a virtio device, the interface is one level below
			if strings.HasPrefix(child, "virtio") {
				d.Interfaces = append(d.Interfaces, t.names(folder, child, "net")...)
			}
		}
		found = append(found, d)
	}
	return found
}

func parseUevent(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = value
		}
	}
	return values
}

// counters of /sys/class/net/X/statistics that tell of loss.
var lossStatistics = []string{"rx_dropped", "rx_missed_errors", "rx_fifo_errors", "rx_over_errors", "rx_crc_errors", "tx_dropped"}

func nic(t *tree, name string, devices []Device) *NIC {
	folder := "sys/class/net/" + name
	const ethernet = 1 // ARPHRD_ETHER
	n := &NIC{
		Name:         name,
		MTU:          t.number(folder, "mtu"),
		Up:           isUp(t.text(folder, "operstate"), t.number(folder, "flags")),
		Ether:        t.number(folder, "type") == ethernet,
		Driver:       parseUevent(t.text(folder, "device/uevent"))["DRIVER"],
		Node:         t.numberOr(-1, folder, "device/numa_node"),
		DefaultRoute: name == parseDefaultRoute(t.text("proc/net/route")) || name == parseDefaultRoute6(t.text("proc/net/ipv6_route")),
		Statistics:   map[string]uint64{},
	}
	if n.Driver == "virtio_net" {
		n.Virtio = t.text(folder, "device/features")
	}
	for _, queue := range t.names(folder, "queues") {
		switch {
		case strings.HasPrefix(queue, "rx-"):
			n.RXQueues++
		case strings.HasPrefix(queue, "tx-"):
			n.TXQueues++
		}
	}
	for _, counter := range lossStatistics {
		if count := t.number(folder, "statistics", counter); count > 0 {
			n.Statistics[counter] = uint64(count)
		}
	}
	for i := range devices {
		if slices.Contains(devices[i].Interfaces, name) {
			n.PCI, n.Node = devices[i].Address, devices[i].Node
		}
	}
	n.IRQs = interrupts(t, n)
	return n
}

// isUp goes by the interface's state, or by IFF_UP where that is not known, as of veth.
func isUp(state string, flags int) bool { return state == "up" || state == "unknown" && flags&1 != 0 }

// interrupts lists those of the interface's queues. Which these are, the device
// says; of virtio devices only the interrupts' names do.
func interrupts(t *tree, n *NIC) []IRQ {
	if n.PCI == "" {
		return nil
	}
	folder := pciFolder + "/" + n.PCI
	own := t.names(folder, "msi_irqs")
	virtio := ""
	for _, child := range t.names(folder) {
		if strings.HasPrefix(child, "virtio") {
			virtio = child + "-"
		}
	}
	var found []IRQ
	for _, irq := range parseInterrupts(t.text("proc/interrupts")) {
		number := strconv.Itoa(irq.Number)
		if !slices.Contains(own, number) && (virtio == "" || !strings.HasPrefix(irq.Name, virtio)) {
			continue
		}
		if strings.HasSuffix(irq.Name, "-config") || strings.Contains(irq.Name, "mgmnt") || strings.Contains(irq.Name, "async") {
			continue // no queue's
		}
		if irq.CPUs = t.list("proc/irq", number, "effective_affinity_list"); len(irq.CPUs) == 0 {
			irq.CPUs = t.list("proc/irq", number, "smp_affinity_list")
		}
		found = append(found, irq)
	}
	return found
}

// finish fills in what only the driver tells of interfaces without a device.
func (n *NIC) finish() {
	if n.Driver == "" {
		n.Driver = n.Told.Driver
	}
	if n.Driver == "" {
		n.Driver = "unknown"
	}
}

// describe is the interface in a line's beginning.
func (n *NIC) describe() string {
	text := fmt.Sprintf("%s: %s", n.Name, n.Driver)
	if v := n.Told.Version; v != "" {
		text += " " + v
	}
	return text
}
