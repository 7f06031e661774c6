package xdp

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// follow starts the goroutine that follows the kernel's tables.
func (p *port) follow() error {
	p.tables.ended = make(chan struct{})
	go func() {
		defer close(p.tables.ended)
		buffer := make([]byte, 1<<16)
		for p.tables.waiter.Wait(p.tables.epoll, unix.POLLIN, p.pause()) == nil {
			p.takeEvents(buffer)
			p.takeReports()
			p.tick(time.Now())
		}
	}()
	return nil
}

// pause is how long there is nothing to do unless something happens.
func (p *port) pause() time.Duration {
	t := &p.tables
	t.mu.Lock()
	defer t.mu.Unlock()
	due := t.reroute
	for _, h := range t.hops {
		if due.IsZero() || h.due.Before(due) {
			due = h.due
		}
	}
	if due.IsZero() {
		return -1
	}
	return max(time.Millisecond, time.Until(due))
}

// tick does what is due.
func (p *port) tick(now time.Time) {
	t := &p.tables
	t.mu.Lock()
	var due []*hop
	for _, h := range t.hops {
		if !h.due.After(now) {
			due = append(due, h)
		}
	}
	for _, h := range due {
		p.solicit(now, h)
	}
	var ways []*path
	if !t.reroute.IsZero() && !t.reroute.After(now) {
		t.reroute = time.Time{}
		for _, way := range t.paths {
			ways = append(ways, way)
		}
	}
	t.mu.Unlock()
	for _, way := range ways { // with the table free in between, for who resolves
		p.rerouted(way)
	}
}

// rerouted asks anew for a path. Without an answer it stays as it was.
func (p *port) rerouted(way *path) {
	t := &p.tables
	t.mu.Lock()
	defer t.mu.Unlock()
	if way.refs == 0 {
		return
	}
	_, next, err := p.lookup(way.route)
	if old := way.hop.Load(); err == nil && old.addr != next {
		way.hop.Store(p.acquire(next))
		p.letGo(old)
		p.generation.Add(1)
	}
}

// reroutePause gathers changes of routes, of which there may be many at a time.
const reroutePause = 20 * time.Millisecond

// changes is what happened.
type changes struct{ link, addrs, routes, all bool }

// takeEvents reads what the kernel tells, and acts on it.
func (p *port) takeEvents(buffer []byte) {
	var c changes
	for {
		n, _, err := unix.Recvfrom(p.tables.events, buffer, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.ENOBUFS) {
			c.all = true // the socket goes on; what it lost is read below
			continue
		}
		if err != nil {
			break
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			c.all = true
			continue
		}
		for i := range messages {
			p.event(&messages[i], &c)
		}
	}
	if c.all {
		p.relearn()
	}
	if c.all || c.link || c.addrs {
		_ = p.look() // the last look stays good
	}
	if c.all || c.routes || c.addrs || c.link {
		t := &p.tables
		t.mu.Lock()
		if t.reroute.IsZero() {
			t.reroute = time.Now().Add(reroutePause)
		}
		t.mu.Unlock()
	}
}

func (p *port) event(m *syscall.NetlinkMessage, c *changes) {
	switch m.Header.Type {
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if n, err := netlink.NeighDeserialize(m.Data); err == nil && n.LinkIndex == p.device.index {
			p.met(n, m.Header.Type == unix.RTM_DELNEIGH)
		}
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, err := netlink.LinkDeserialize((*unix.NlMsghdr)(&m.Header), m.Data)
		if err != nil || l.Attrs().Index != p.device.index && l.Attrs().Index != p.device.base {
			return
		}
		c.link = true
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		c.addrs = true
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		c.routes = true
	}
}

// met takes over what the kernel has learnt of a neighbour. One that it has
// thrown out, or not found, stays where it was, and is looked for again.
func (p *port) met(n *netlink.Neigh, lost bool) {
	addr, mac, known := neighbourOf(n)
	t := &p.tables
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hops[addr]
	switch {
	case h == nil:
	case lost:
		h.due = time.Now().Add(firstRetry)
	case known:
		p.learn(h, mac)
	}
}

func (p *port) learn(h *hop, mac netstack.MAC) {
	h.tries = 0
	if _, before := h.MAC(); !before {
		h.due = time.Now().Add(reassure)
	}
	if h.setMAC(mac) {
		p.generation.Add(1)
	}
}

// relearn reads all neighbours again.
func (p *port) relearn() {
	list, err := p.tables.handle.NeighList(p.device.index, netlink.FAMILY_ALL)
	if err != nil {
		return // each is asked for some time
	}
	for i := range list {
		p.met(&list[i], false)
	}
}

// look reads link and addresses anew.
func (p *port) look() error {
	d := p.device // what changes is the view's
	for _, index := range []int{d.base, d.index} {
		l, err := p.tables.handle.LinkByIndex(index)
		if errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ENODEV) {
			p.vanish()
			return err
		}
		if err != nil {
			return err
		}
		d.update(l)
	}
	addrs, err := p.addrs()
	if err != nil {
		return err
	}
	v := &view{mac: d.mac, mtu: min(d.mtu, p.mtu), up: d.up, addrs: addrs}
	v.parser = netstack.Receiver{MAC: d.mac, VLAN: d.vlan, Untagged: d.vlan != 0, Addrs: addrs, AcceptPartial: d.virtual}.Parser()
	old := p.view.Swap(v)
	if old != nil && !slices.Equal(old.addrs, addrs) {
		err = p.replace(addrs)
	}
	p.generation.Add(1)
	return err
}

// addrs returns the addresses that datagrams are taken for, IPv4 first.
func (p *port) addrs() ([]netip.Addr, error) {
	d := &p.device
	have, err := d.addrs(p.tables.handle)
	if err != nil {
		return nil, err
	}
	asked, err := p.cfg.addrs()
	if err != nil {
		return nil, err
	}
	opening := p.view.Load() == nil
	if len(asked) > 0 {
		for _, a := range asked {
			if opening && !slices.Contains(have, a) {
				return nil, wrong("ip", "%s does not have %v: ip addr add %v/24 dev %s, or give one of %v", d.name, a, a, d.name, have)
			}
		}
		return asked, nil
	}
	have = slices.DeleteFunc(have, netip.Addr.IsLinkLocalUnicast)
	slices.SortStableFunc(have, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	if opening && len(have) == 0 {
		return nil, wrong("interface", "%s has no address, and the kernel is to answer for it: ip addr add 10.0.1.7/24 dev %s", d.name, d.name)
	}
	return have, nil
}

// replace has the program take datagrams for such addresses.
func (p *port) replace(addrs []netip.Addr) error {
	program, err := p.filter(addrs, p.mode).load(p.maps, redirect(), p.frags)
	if err != nil {
		return err
	}
	if err := p.link.Update(program); err != nil {
		return errors.Join(err, program.Close())
	}
	old := p.program
	p.program = program
	return old.Close()
}

// vanish ends all queues: the device will not come back.
func (p *port) vanish() {
	if p.gone.Swap(true) {
		return
	}
	p.wake()
}

func (p *port) wake() {
	for i := range p.queues {
		if q := p.queues[i].Load(); q != nil {
			q.Wake()
		}
	}
}
