package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// The smallest receive ring that outlasts a loop's absence of a fraction of a
// millisecond at millions of packets a second.
const enoughRing = 1024

func checkInterface(r *report) {
	n := r.NIC
	if n == nil {
		return
	}
	if !n.Up {
		r.find("nic-down", n.Name+" is down, or has no link.", "sudo ip link set "+n.Name+" up", "ip -s link show "+n.Name)
	}
	if d := r.device(n.PCI); d != nil {
		if d.Speed > 0 && d.Speed < d.MaxSpeed || d.Width > 0 && d.Width < d.MaxWidth {
			r.find("nic-pcie", fmt.Sprintf("The PCI Express link of %s has %d lanes of %g GT/s; the card could have %d of %g.",
				d.Address, d.Width, d.Speed, d.MaxWidth, d.MaxSpeed), "Move the card to another slot; sudo lspci -vv -s "+d.Address+" shows LnkCap and LnkSta.")
		}
	}
	if p := n.Told.Pause; p != nil && (p.RX || p.TX) {
		r.find("nic-pause", n.Name+" heeds or sends pause frames.", "sudo ethtool -A "+n.Name+" rx off tx off")
	}
	r.checkMTU(n)
}

// checkMTU asks for jumbo frames where the network is known to carry them.
func (r *report) checkMTU(n *NIC) {
	const vpc, usual = 9001, 1500
	if n.Driver == "ena" && n.MTU <= usual && r.Asked.Backend != "xdp" {
		r.find("nic-mtu", fmt.Sprintf("%s has an MTU of %d; inside a VPC packets of %d bytes pass.", n.Name, n.MTU, vpc),
			fmt.Sprintf("sudo ip link set %s mtu %d", n.Name, vpc))
	}
}

func checkQueues(r *report) {
	n := r.NIC
	if n == nil {
		return
	}
	if rings := n.Told.Rings; rings != nil && rings.RX < min(enoughRing, rings.MaxRX) {
		r.find("nic-rings", fmt.Sprintf("Receive rings of %s have %d descriptors, and may have %d.", n.Name, rings.RX, rings.MaxRX),
			fmt.Sprintf("sudo ethtool -G %s rx %d     # the link may go down for a moment", n.Name, min(enoughRing, rings.MaxRX)))
	}
	if c := n.Told.Channels; c != nil {
		most := min(c.MaxCombined, len(r.CPU.Online))
		wanted := max(1, len(r.Asked.CPUs))
		switch {
		case c.Combined > 0 && c.Combined < wanted && c.Combined < most:
			r.find("nic-queues", fmt.Sprintf("%s has %s for %s.", n.Name, count(c.Combined, "queue"), count(wanted, "loop")),
				fmt.Sprintf("sudo ethtool -L %s combined %d", n.Name, min(wanted, most)))
		case c.Combined > 0 && len(r.Asked.CPUs) == 0 && c.Combined < most && most/c.Combined >= 2 && r.Asked.Backend != "xdp":
			r.find("nic-queues", fmt.Sprintf("%s has %s of %d that it could have, on %d CPUs.", n.Name, count(c.Combined, "queue"), c.MaxCombined, len(r.CPU.Online)),
				fmt.Sprintf("sudo ethtool -L %s combined %d", n.Name, most))
		}
	}
	const gathering = 20 // µs, about a round trip
	if c := n.Told.Coalesce; c != nil && (c.Adaptive || c.Micros > gathering) {
		how := fmt.Sprintf("%s waits %d µs", n.Name, c.Micros)
		if c.Adaptive {
			how = n.Name + " decides by itself how long it waits"
		}
		r.find("nic-coalescing", how+" before it interrupts. This matters to loops that sleep.",
			"sudo ethtool -C "+n.Name+" adaptive-rx off rx-usecs 0     # more interrupts, less latency")
	}
}

func checkRSS(r *report) {
	n := r.NIC
	if n == nil || n.Told.RSS == nil || n.Queues() < 2 {
		return
	}
	rss := n.Told.RSS
	if rss.UDP != "" && !strings.Contains(rss.UDP, "f") {
		r.find("nic-rss-udp", n.Name+" spreads UDP by addresses only ("+rss.UDP+").", "sudo ethtool -N "+n.Name+" rx-flow-hash udp4 sdfn")
	}
	if len(rss.Queues) > 0 && len(rss.Queues) < n.Queues() {
		r.find("nic-rss-table", fmt.Sprintf("The indirection table of %s leads to %d of %d queues.", n.Name, len(rss.Queues), n.Queues()),
			fmt.Sprintf("sudo ethtool -X %s equal %d", n.Name, n.Queues()))
	}
	if !rss.Toeplitz || rss.Key < 40 {
		r.find("xdp-no-steering", n.Name+" does not tell the key of its hash, so a client cannot choose ports whose answers come to its own loop.")
	}
}

func checkLoss(r *report) {
	n := r.NIC
	if n == nil {
		return
	}
	var lost []string
	for _, name := range []string{"rx_missed_errors", "rx_fifo_errors", "rx_over_errors", "rx_crc_errors"} {
		if c := n.Statistics[name]; c > 0 {
			lost = append(lost, fmt.Sprintf("%s %d", name, c))
		}
	}
	for _, name := range []string{"rx_out_of_buffer", "rx_discards_phy", "rx_overruns", "rx_no_buffer_count"} {
		if c := n.Told.Counters[name]; c > 0 {
			lost = append(lost, fmt.Sprintf("%s %d", name, c))
		}
	}
	if len(lost) > 0 {
		r.find("nic-loss", fmt.Sprintf("%s lost packets since it came up: %s.", n.Name, strings.Join(lost, ", ")),
			"ethtool -S "+n.Name+"     # twice: does it still grow?", "ethtool -g "+n.Name)
	}
}

// offloads are those that Peregrine's datagrams profit from, where a driver has them.
var offloads = []struct{ feature, short string }{
	{"rx-gro", "gro"}, {"tx-generic-segmentation", "gso"},
}

func checkOffloads(r *report) {
	n := r.NIC
	if n == nil {
		return
	}
	for _, o := range offloads {
		if on, known := n.Told.Features[o.feature]; known && !on {
			r.find("nic-offload", o.feature+" is off on "+n.Name+".", "sudo ethtool -K "+n.Name+" "+o.short+" on")
		}
	}
	var off []string
	tx := []string{"tx-checksum-ip-generic", "tx-checksum-ipv4"}
	if slices.ContainsFunc(tx, n.knows) && !slices.ContainsFunc(tx, n.on) {
		off = append(off, "tx")
	}
	if n.knows("rx-checksum") && !n.on("rx-checksum") {
		off = append(off, "rx")
	}
	if len(off) > 0 {
		r.find("nic-checksum", n.Name+" computes no checksums ("+strings.Join(off, ", ")+").",
			"sudo ethtool -K "+n.Name+" "+strings.Join(off, " on ")+" on     # if the driver has it")
	}
}

func (n *NIC) knows(feature string) bool { _, known := n.Told.Features[feature]; return known }

func (n *NIC) on(feature string) bool { return n.Told.Features[feature] }
