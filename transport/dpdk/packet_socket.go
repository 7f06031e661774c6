//go:build dpdk

package dpdk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"syscall"
)

// net_af_packet hands frames to an interface of the kernel by a ring, whose head
// the kernel tries again and again while the interface refuses it. One end of a veth
// pair refuses what is longer than the other end's MTU, and then blocks all that is
// behind it. A queueing discipline of the interface drops it instead, unless the
// driver goes past it, as it does unless told otherwise.

// kernelLink is an interface as the kernel tells of it.
type kernelLink struct {
	name       string
	index, mtu int
	pair       int  // the index of the end that frames come out of; 0: none
	elsewhere  bool // that is in another network namespace
	queues     bool // it has a queueing discipline
}

// kernelLinks asks for all of them, in the namespace of this process.
func kernelLinks() (links []kernelLink, err error) {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("dpdk: cannot ask the kernel for its interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return nil, fmt.Errorf("dpdk: cannot read the kernel's interfaces: %w", err)
	}
	for i := range messages {
		m := &messages[i]
		attributes, err := syscall.ParseNetlinkRouteAttr(m)
		if m.Header.Type != syscall.RTM_NEWLINK || err != nil {
			continue
		}
		var l kernelLink
		l.index = int(binary.NativeEndian.Uint32(m.Data[4:])) // of an ifinfomsg
		for _, a := range attributes {
			const linkNamespace = 37 // IFLA_LINK_NETNSID
			switch {
			case a.Attr.Type == linkNamespace:
				l.elsewhere = true
			case a.Attr.Type == syscall.IFLA_IFNAME:
				l.name = string(bytes.TrimRight(a.Value, "\x00"))
			case a.Attr.Type == syscall.IFLA_QDISC:
				l.queues = string(bytes.TrimRight(a.Value, "\x00")) != "noqueue"
			case a.Attr.Type == syscall.IFLA_MTU && len(a.Value) >= 4:
				l.mtu = int(binary.NativeEndian.Uint32(a.Value))
			case a.Attr.Type == syscall.IFLA_LINK && len(a.Value) >= 4:
				l.pair = int(binary.NativeEndian.Uint32(a.Value))
			}
		}
		links = append(links, l)
	}
	return links, nil
}

// farMTU is the MTU of the other end of a pair, of which the interface of a
// net_af_packet device is one end; known says whether that end can be seen from here.
func farMTU(links []kernelLink, name string) (own kernelLink, mtu int, known bool) {
	for _, own = range links {
		if own.name != name || own.pair == 0 || own.pair == own.index && !own.elsewhere {
			continue
		}
		for _, far := range links {
			if far.index == own.pair && !own.elsewhere {
				return own, far.mtu, true
			}
		}
		return own, 0, false
	}
	return kernelLink{}, 0, true
}

// fitFarEnd lowers an MTU that the user did not choose to that of the interface's
// other end. Where it may still be too large, it notes what to do.
func (p *port) fitFarEnd() {
	if p.driver != "net_af_packet" {
		return
	}
	links, err := kernelLinks()
	if err != nil {
		return // it is for better only
	}
	name := p.device.arg("iface")
	own, far, known := farMTU(links, name)
	if known && far > 0 && p.cfg.MTU == 0 {
		p.mtu = min(p.mtu, far)
	}
	if (!known || far > 0 && far < p.mtu) && (!own.queues || p.device.arg("qdisc_bypass") != "0") {
		p.notes = append(p.notes, fmt.Sprintf("a packet longer than the MTU of the other end of %s blocks all behind it: give both ends one MTU, "+
			"or run tc qdisc replace dev %s root pfifo and add qdisc_bypass=0 to the device's arguments", name, name))
	}
}
