package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// route is what the kernel is asked for: the way to an address, from one of ours
// or from whichever it chooses.
type route struct{ to, source netip.Addr }

// path is the kernel's answer, shared by all who use it. Its hop changes with the
// kernel's routes.
type path struct {
	route
	from netip.Addr // of ours
	hop  atomic.Pointer[hop]
	refs int
}

// hop is a neighbour. The kernel is who asks for it and answers it; a MAC once
// known is used until there is another.
type hop struct {
	addr  netip.Addr
	mac   atomic.Uint64 // 0: not known
	refs  int           // paths
	tries int           // since it was last known
	due   time.Time     // when the kernel is asked again to look for it
}

// When the kernel is asked to look for a neighbour, or to make sure of one: it
// hears nothing of what we send and receive.
const (
	firstRetry = 100 * time.Millisecond
	retry      = time.Second
	reassure   = 15 * time.Second
	quickTries = 3
)

// MAC returns the Ethernet address, unless it is not known yet. Any goroutine may
// call it.
func (h *hop) MAC() (mac netstack.MAC, known bool) {
	v := h.mac.Load()
	for i := range mac {
		mac[i] = byte(v >> (40 - 8*i))
	}
	return mac, v != 0
}

// setMAC notes where h is; true means that it was elsewhere before.
func (h *hop) setMAC(mac netstack.MAC) bool {
	v := uint64(0)
	for _, b := range mac {
		v = v<<8 | uint64(b)
	}
	return h.mac.Swap(v) != v
}

// resolve returns the path to an address, to be given back by forget. It asks the
// kernel, which answers at once.
func (p *port) resolve(to, source netip.Addr) (*path, error) {
	t := &p.tables
	t.mu.Lock()
	defer t.mu.Unlock()
	key := route{to, source}
	if known := t.paths[key]; known != nil {
		known.refs++
		return known, nil
	}
	from, next, err := p.lookup(key)
	if err != nil {
		return nil, err
	}
	way := &path{route: key, from: from, refs: 1}
	way.hop.Store(p.acquire(next))
	t.paths[key] = way
	return way, nil
}

func (p *port) forget(way *path) {
	t := &p.tables
	t.mu.Lock()
	defer t.mu.Unlock()
	if way.refs--; way.refs == 0 {
		delete(t.paths, way.route)
		p.letGo(way.hop.Load())
	}
}

// acquire returns the neighbour at an address, and has the kernel look for it.
func (p *port) acquire(addr netip.Addr) *hop {
	t := &p.tables
	h := t.hops[addr]
	if h == nil {
		h = &hop{addr: addr}
		t.hops[addr] = h
		if n, err := p.neighbour(addr); err == nil && n != (netstack.MAC{}) {
			h.setMAC(n)
		}
		p.solicit(time.Now(), h)
		t.waiter.Wake() // it is due some time
	}
	h.refs++
	return h
}

func (p *port) letGo(h *hop) {
	if h.refs--; h.refs == 0 {
		delete(p.tables.hops, h.addr)
	}
}

// lookup asks the kernel for a route. First as for anybody, so that its rules
// count; but what it would send by another interface we have it send by ours, if
// there is a way.
func (p *port) lookup(key route) (from, hop netip.Addr, err error) {
	v := p.view.Load()
	if !key.to.IsValid() || key.to.IsUnspecified() || key.to.IsMulticast() {
		return from, hop, fmt.Errorf("xdp: %v is not the address of one host: give a unicast address", key.to)
	}
	if from = key.source; !from.IsValid() {
		i := slices.IndexFunc(v.addrs, func(a netip.Addr) bool { return a.Is4() == key.to.Is4() })
		if i < 0 {
			return from, hop, fmt.Errorf("xdp: %s has no address of the family of %v: give it one (ip addr add), or one of those in ip", p.device.name, key.to)
		}
		from = v.addrs[i]
	} else if !slices.Contains(v.addrs, from) || from.Is4() != key.to.Is4() {
		return from, hop, fmt.Errorf("xdp: %v is not an address of %s from which to reach %v: those are %v", from, p.device.name, key.to, v.addrs)
	}
	unreachable := func(err error) error {
		return fmt.Errorf("xdp: %s has no route to %v: ip route get %v from %v oif %s says what the kernel thinks: %w",
			p.device.name, key.to, key.to, from, p.device.name, err)
	}
	found, err := p.ask(key.to, from, 0)
	if err != nil || found.LinkIndex != p.device.index {
		if err == nil && found.Type == unix.RTN_LOCAL {
			return from, hop, fmt.Errorf("xdp: %v is this host's own, and links do not send back: use udp and 127.0.0.1", key.to)
		}
		if found, err = p.ask(key.to, from, p.device.index); err != nil {
			return from, hop, unreachable(err)
		}
		// Of an interface that has no route there the kernel assumes that everybody
		// is on its link.
		if found.Gw == nil && !p.isNear(key.to) {
			return from, hop, unreachable(unix.ENETUNREACH)
		}
	}
	switch found.Type {
	case unix.RTN_UNICAST:
	case unix.RTN_LOCAL:
		return from, hop, fmt.Errorf("xdp: %v is this host's own, and links do not send back: use udp and 127.0.0.1", key.to)
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
		return from, hop, fmt.Errorf("xdp: %v is not the address of one host: give a unicast address", key.to)
	default:
		return from, hop, unreachable(unix.EHOSTUNREACH)
	}
	if src, ok := netip.AddrFromSlice(found.Src); ok && !key.source.IsValid() {
		if src = src.Unmap(); slices.Contains(v.addrs, src) {
			from = src
		}
	}
	if gateway, ok := netip.AddrFromSlice(found.Gw); ok {
		return from, gateway.Unmap(), nil
	}
	if via, ok := found.Via.(*netlink.Via); ok { // IPv4 behind an IPv6 gateway
		if gateway, ok := netip.AddrFromSlice(via.Addr); ok {
			return from, gateway.Unmap(), nil
		}
	}
	return from, key.to, nil
}

// ask asks for a route, by an interface unless that is 0.
func (p *port) ask(to, from netip.Addr, by int) (netlink.Route, error) {
	found, err := p.tables.handle.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{OifIndex: by, SrcAddr: from.AsSlice()})
	if err == nil && len(found) == 0 {
		err = unix.ENETUNREACH
	}
	if err != nil {
		return netlink.Route{}, err
	}
	return found[0], nil
}

// isNear says whether an address is on a network of the interface's own.
func (p *port) isNear(addr netip.Addr) bool {
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: p.device.index}}
	routes, err := p.tables.handle.RouteList(link, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false
	}
	return slices.ContainsFunc(routes, func(r netlink.Route) bool {
		return r.Gw == nil && r.Dst != nil && r.Dst.Contains(addr.AsSlice())
	})
}

// neighbour reads what the kernel knows of one.
func (p *port) neighbour(addr netip.Addr) (netstack.MAC, error) {
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := p.tables.handle.NeighList(p.device.index, family)
	if err != nil {
		return netstack.MAC{}, err
	}
	for i := range list {
		if at, mac, known := neighbourOf(&list[i]); known && at == addr {
			return mac, nil
		}
	}
	return netstack.MAC{}, nil
}

// neighbourOf takes an entry of the kernel's table apart; known is false where it
// has no MAC that may be used.
func neighbourOf(n *netlink.Neigh) (addr netip.Addr, mac netstack.MAC, known bool) {
	const valid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY
	addr, ok := netip.AddrFromSlice(n.IP)
	if ok && n.State&valid != 0 && len(n.HardwareAddr) == len(mac) {
		return addr.Unmap(), netstack.MAC(n.HardwareAddr), true
	}
	return addr.Unmap(), mac, false
}

// solicit has the kernel look for h.
func (p *port) solicit(now time.Time, h *hop) {
	_ = p.tables.handle.NeighSet(&netlink.Neigh{LinkIndex: p.device.index, IP: h.addr.AsSlice(), Flags: unix.NTF_USE}) // later again
	_, known := h.MAC()
	wait := retry
	switch h.tries++; {
	case known:
		wait = reassure
	case h.tries < quickTries:
		wait = firstRetry
	}
	h.due = now.Add(wait)
}
