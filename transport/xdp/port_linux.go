package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netdev"
	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// ports are the open interfaces of this process.
var ports struct {
	sync.Mutex
	open     map[place]*port
	memories map[string]*memory // by name
}

// place is an interface, in a network namespace.
type place struct {
	namespace uint64
	index     int
}

// port is an open interface. Fields are constant unless they say who changes
// them.
type port struct {
	place  place
	cfg    Config
	device device // as it was found
	mode   string // native or generic
	local  netip.AddrPort
	notes  []string
	mtu    int  // of IP packets, in bytes
	frags  bool // packets may have several frames

	memory  *memory
	maps    maps
	program *ebpf.Program // the follower's
	// link must stay referenced: one that is garbage takes the program off.
	link   link.Link
	queues []atomic.Pointer[queue] // changed under ports
	claim  *udpsock.Socket         // the kernel's, at our port
	count  counting                // of the unfinished that the program has passed on, in generic mode
	tables tables

	// For anybody to read.
	view       atomic.Pointer[view]
	generation atomic.Uint64 // changes with view, and with what a path leads to
	gone       atomic.Bool   // removed, or moved to another namespace
	news       news          // of what could not be delivered
	lines      lines         // that were dialed
}

// view is what a queue's owner knows of the interface.
type view struct {
	mac    netstack.MAC
	mtu    int
	up     bool
	parser netstack.Parser
	addrs  []netip.Addr
}

// open opens a queue, and the interface with the first.
func open(cfg *Config, index, queues int) (_ transport.Transport, err error) {
	ports.Lock()
	defer ports.Unlock()
	p, err := portOf(cfg, queues)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.closeIfIdle())
		}
	}()
	if err := p.agree(cfg, queues); err != nil {
		return nil, err
	}
	if p.queues[index].Load() != nil {
		return nil, fmt.Errorf("xdp: queue %d of %s is in use: close it first", cfg.Queue+index, cfg.Interface)
	}
	q, err := openQueue(p, index)
	if err != nil {
		return nil, err
	}
	p.queues[index].Store(q)
	return q, nil
}

// portOf returns the interface, open.
func portOf(cfg *Config, queues int) (*port, error) {
	t, err := openTables()
	if err != nil {
		return nil, err
	}
	d, err := findDevice(t.handle, cfg.Interface)
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	at := place{t.namespace, d.base}
	if p := ports.open[at]; p != nil {
		return p, t.close()
	}
	p := &port{place: at, cfg: *cfg, device: *d, queues: make([]atomic.Pointer[queue], queues), tables: t}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if ports.open == nil {
		ports.open = make(map[place]*port)
	}
	ports.open[at] = p
	return p, nil
}

// start makes all that the queues share.
func (p *port) start() (err error) {
	d := &p.device
	if err := p.checkQueues(); err != nil {
		return err
	}
	if p.mtu = p.cfg.MTU; p.mtu == 0 {
		p.mtu = d.mtu
	}
	if p.mtu > d.mtu {
		return wrong("mtu", "%s has %d: give that at most, or raise it by ip link set %s mtu %d", d.name, d.mtu, d.name, p.mtu)
	}
	if err := p.look(); err != nil {
		return err
	}
	addrs := p.view.Load().addrs
	var udp uint16
	if p.claim, udp, err = claimPort(d, p.cfg.Port); err != nil {
		return err
	}
	p.local = netip.AddrPortFrom(addrs[0], udp)
	if err := p.tables.watch(p.claim.FD, unix.EPOLLERR); err != nil {
		return err
	}
	if p.maps, err = makeMaps(p.cfg.Queue + len(p.queues)); err != nil {
		return unattached(d, p.cfg.Mode, false, err)
	}
	if err := p.attach(addrs); err != nil {
		return err
	}
	if p.generic() {
		if p.count, err = mapCounter(p.maps.passed.FD()); err != nil {
			return err
		}
		hearken(p.claim)
	}
	l, err := p.layout()
	if err != nil {
		return err
	}
	if p.memory, err = memoryFor(p, l); err != nil {
		return err
	}
	p.note()
	return p.follow()
}

// checkQueues makes sure that no packet of ours arrives where nobody looks.
func (p *port) checkQueues() error {
	d, first, n := &p.device, p.cfg.Queue, len(p.queues)
	switch {
	case first+n > d.queues:
		return fmt.Errorf("xdp: %s has %d receive queues, and queues %d to %d are wanted: open fewer, or give it more by ethtool -L %s combined %d (on veth: rx %d)",
			d.name, d.queues, first, first+n-1, d.name, first+n, first+n)
	case n < d.queues && !p.cfg.Steered:
		return fmt.Errorf("xdp: %s has %d receive queues, and packets that arrive at other queues than the %d that are opened would be lost to us: "+
			"open %d endpoints, or leave it %d by ethtool -L %s combined %d (on veth: rx %d); if the device is told what to deliver where (ethtool -N), say steered=true",
			d.name, d.queues, n, d.queues, n, d.name, n, n)
	}
	return nil
}

// filter is the program's, for such addresses, in a mode.
func (p *port) filter(addrs []netip.Addr, mode string) filter {
	return filter{addrs: addrs, port: p.local.Port(), vlan: p.device.vlan, whole: mode == "generic"}
}

// attach puts the program on the interface, in the best mode that is allowed. Packets
// have several frames only where they must: the MTU is more than one holds, or than
// the driver has room for.
func (p *port) attach(addrs []netip.Addr) error {
	d := &p.device
	if most := mostFrames*xsk.LargeFrame - headroom; d.mtu > most {
		return wrong("interface", "%s has an MTU of %d, and AF_XDP carries packets of %d bytes: ip link set %s mtu 9000", d.name, d.mtu, most, d.name)
	}
	long := d.mtu+ethernet > xsk.LargeFrame-xsk.Reserve
	native := func() (err error) {
		if !long {
			if err = p.attachAs(addrs, "native", link.XDPDriverMode, false); !errors.Is(err, unix.ERANGE) {
				return err
			}
		}
		if inPieces := p.attachAs(addrs, "native", link.XDPDriverMode, true); inPieces == nil || long {
			return inPieces
		}
		return err
	}
	generic := func() error { return p.attachAs(addrs, "generic", link.XDPGenericMode, long) }
	var refusals error
	for _, m := range []struct {
		name   string
		attach func() error
	}{{"native", native}, {"generic", generic}} {
		if p.cfg.Mode != m.name && p.cfg.Mode != "auto" {
			continue
		}
		err := m.attach()
		if err == nil {
			break
		}
		refusals = errors.Join(refusals, err)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			break // it would be no other
		}
	}
	if p.link == nil {
		return refusals
	}
	if refusals != nil {
		p.notes = append(p.notes, fmt.Sprintf("mode is generic, which is slower: %v", refusals))
	}
	return nil
}

// generic tells whether the kernel runs the program on packets of its own.
func (p *port) generic() bool { return p.mode == "generic" }

// attachAs tries one mode; frags allows packets of several frames.
func (p *port) attachAs(addrs []netip.Addr, mode string, flag link.XDPAttachFlags, frags bool) error {
	program, err := p.filter(addrs, mode).load(p.maps, redirect(), frags)
	if err != nil {
		return unattached(&p.device, mode, frags, err)
	}
	attached, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: p.device.base, Flags: flag})
	if err != nil {
		return unattached(&p.device, mode, frags, errors.Join(err, program.Close()))
	}
	p.program, p.link, p.mode, p.frags = program, attached, mode, frags
	return nil
}

// layout says what frames the queues need.
func (p *port) layout() (layout, error) {
	c := &p.cfg
	l := layout{frameSize: xsk.LargeFrame, run: 1, send: c.TxRing + c.Buffers/2, receive: c.RxRing + c.Buffers/2}
	if p.device.mtu+ethernet <= xsk.SmallFrame-xsk.Reserve && c.Memory == "" {
		l.frameSize = xsk.SmallFrame
	}
	for p.frags && l.run*l.frameSize < headroom+p.device.mtu {
		l.run *= 2
	}
	switch {
	case c.TxChecksum == "on" && p.frags:
		return l, wrong("tx_checksum", "a packet that has several frames, as the MTU of %d takes, has its checksum computed here: take auto or off", p.device.mtu)
	case c.TxChecksum == "on" && !xsk.CanOffloadChecksums():
		return l, wrong("tx_checksum", "this kernel has none for AF_XDP (Linux 6.11): take auto or off")
	case c.TxChecksum == "off" || p.frags: // the frames of a packet leave no room between them
	case p.device.checksums && xsk.CanOffloadChecksums():
		l.checksums = devices
	case c.TxChecksum == "on":
		l.checksums = kernels
	}
	return l, nil
}

func (p *port) note() {
	if p.generic() && p.cfg.Mode == "generic" {
		p.notes = append(p.notes, "mode is generic, as asked for: the kernel makes a buffer of its own of each packet first")
	}
	if p.generic() {
		p.notes = append(p.notes, "in generic mode what other kernels of this host send comes by a socket of the kernel: "+
			"ethtool -K on their interface, with tx off, has them finish their packets, and those come by AF_XDP")
	}
	d := &p.device
	if p.memory.layout.checksums == kernels {
		p.notes = append(p.notes, fmt.Sprintf("tx_checksum is on, and the kernel does it: the driver of %s (%s) does not", d.name, d.driver))
	}
	if p.cfg.BusyPoll > 0 {
		if id, err := netdev.NAPI(d.base, p.cfg.Queue); err == nil && id == 0 {
			p.notes = append(p.notes, fmt.Sprintf("busy_poll will hardly engage: the driver of %s (%s) names nobody to be polled (a NAPI id)", d.name, d.driver))
		}
	}
}

// agree says what of a further queue's configuration is not the first one's.
func (p *port) agree(cfg *Config, queues int) error {
	if !reflect.DeepEqual(*cfg, p.cfg) {
		return wrong("interface", "%s is open with other settings: give all its queues the same", p.device.name)
	}
	if queues != len(p.queues) {
		return fmt.Errorf("xdp: %s is open with %d queues, not %d: close it first", p.device.name, len(p.queues), queues)
	}
	return nil
}

// release gives back a queue, and the interface with the last.
func (p *port) release(q *queue) error {
	ports.Lock()
	defer ports.Unlock()
	err := q.giveBack()
	p.queues[q.index].Store(nil)
	return errors.Join(err, p.closeIfIdle())
}

func (p *port) closeIfIdle() error {
	for i := range p.queues {
		if p.queues[i].Load() != nil {
			return nil
		}
	}
	delete(ports.open, p.place)
	return p.close()
}

// close takes the program off and gives everything back.
func (p *port) close() error {
	err := p.tables.stop()
	if p.link != nil {
		err = errors.Join(err, p.link.Close())
	}
	if p.program != nil {
		err = errors.Join(err, p.program.Close())
	}
	err = errors.Join(err, p.count.unmap(), p.maps.close())
	if p.memory != nil {
		err = errors.Join(err, p.memory.leave())
	}
	if p.claim != nil {
		err = errors.Join(err, p.claim.Close())
	}
	return errors.Join(err, p.tables.close())
}
