//go:build dpdk

package dpdk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

const (
	// linkPatience is how long the first Open waits for a cable's link. A virtual
	// device has one when its peer comes, which may be any time.
	linkPatience = 3 * time.Second
	// resetEvery is the pause between attempts to bring a device back.
	resetEvery = time.Second
	// memifHandshake is longer than two memif devices take to connect.
	memifHandshake = 100 * time.Millisecond
)

// port is an open device. Its fields are constant unless they say who changes
// them; the control goroutine calls its methods, unless they say else.
type port struct {
	cfg    Config
	device device
	native

	mtu    int // of IP packets, in bytes
	local  netip.AddrPort
	stack  *netstack.Stack
	queues []portQueue
	notes  []string

	dialed portSet

	// For anybody to read.
	clock    atomic.Int64  // ns since some origin, every 10 ms or so
	up       atomic.Bool   // the link
	linkRate atomic.Uint64 // bits per second, last time that it was up; 0 where unknown
	gone     atomic.Bool   // the device was pulled out
	missed   atomic.Uint64 // packets that the device dropped for want of room

	// The control goroutine's.
	open        bool
	withoutICMP error     // why an isolated port gets none
	resetAt     time.Time // when to bring the device back; zero if it works
}

// openPort attaches, configures and starts a device with all its queues. serial
// tells its pools from others.
func openPort(cfg *Config, d device, queues, serial int) (_ *port, err error) {
	p := &port{cfg: *cfg, device: d, queues: make([]portQueue, queues), open: true}
	_ = ealLog() // of others
	if err := p.attach(d); err != nil {
		return nil, explained(fmt.Errorf("dpdk: cannot attach %s: %w", d.name, err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if err := p.identify(); err != nil {
		return nil, err
	}
	if queues > p.queueLimit {
		return nil, fmt.Errorf("dpdk: %s has %d queues and %d are wanted: open fewer, or give it more "+
			"by its arguments (queues=%d)", d.name, p.queueLimit, queues, queues)
	}
	if err := p.address(); err != nil {
		return nil, err
	}
	if err := p.share(); err != nil {
		return nil, err
	}
	if err := p.isolate(); err != nil {
		return nil, err
	}
	if err := p.makePools(serial); err != nil {
		return nil, err
	}
	if err := p.bringUp(); err != nil {
		return nil, err
	}
	p.note()
	p.look()
	p.clock.Store(int64(time.Since(epoch)))
	return p, nil
}

// address fixes MAC, MTU, addresses and UDP port.
func (p *port) address() error {
	if p.mtu = p.cfg.MTU; p.mtu == 0 {
		p.mtu = min(p.ownMTU, maxMTU)
	}
	p.fitFarEnd()
	if p.mtu > p.mtuLimit {
		return wrong("mtu", "%s carries %d bytes at most: give that, or 0 for its present %d", p.device.name, p.mtuLimit, p.ownMTU)
	}
	if p.cfg.MAC == "" && p.mac == (netstack.MAC{}) {
		return wrong("mac", "%s has no Ethernet address: give it one, such as 02:00:00:00:00:07", p.device.name)
	}
	own := p.mac
	if p.sharesMAC() {
		own[0], own[1] = own[0]|2, own[1]^0xff // locally administered, and another
	}
	station, err := p.cfg.station(own, p.mtu)
	if err != nil {
		return err
	}
	station.AcceptPartial = p.device.kind == virtualDevice
	if p.stack, err = netstack.New(station); err != nil {
		return fmt.Errorf("dpdk: %s: %w", p.device.name, err)
	}
	p.mac = station.MAC
	udp := p.cfg.Port
	if udp == 0 {
		udp = uint16(netstack.FirstPort + rand.IntN(1<<16-netstack.FirstPort))
	}
	p.local = netip.AddrPortFrom(station.Addrs[0].Addr(), udp)
	return nil
}

// sharesMAC says that the device's address is that of the kernel's interface at
// its other end: net_tap makes them one. The kernel would be asking itself for its
// neighbour, and so would we. But the driver passes frames to any address, so the
// station takes another and leaves the device its own.
func (p *port) sharesMAC() bool { return p.driver == "net_tap" && p.device.arg("remote") == "" }

// bufferSize is the bytes of a packet buffer, behind its headroom: the largest
// frame with VLAN tag and check sequence, in steps that all devices can use.
func (p *port) bufferSize() int {
	const ethernet, step = 14 + 4 + 4, 1024
	return max(2048, (p.mtu+ethernet+step-1)/step*step)
}

// bringUp configures and starts the port, anew after a reset.
func (p *port) bringUp() error {
	if err := p.setUp(); err != nil {
		return err
	}
	if p.cfg.MAC != "" && !p.sharesMAC() {
		if err := p.setMAC(); err != nil {
			return wrong("mac", "%s refuses %v (%v): leave the key out", p.device.name, p.mac, err)
		}
	}
	p.listen(p.multicast())
	if p.isolated {
		if err := p.steer(); err != nil {
			return err
		}
	}
	return nil
}

// multicast is the groups in which neighbours ask for our IPv6 addresses: all
// nodes, and each address's own (RFC 4291 §2.7.1, RFC 2464 §7).
func (p *port) multicast() []netstack.MAC {
	groups := []netstack.MAC{
		{0x33, 0x33, 0, 0, 0, 1},
		{0x33, 0x33, 0xff, p.mac[3], p.mac[4], p.mac[5]}, // of the link-local address
	}
	for _, text := range p.cfg.IP {
		if a := netip.MustParsePrefix(text).Addr(); a.Is6() {
			b := a.As16()
			groups = append(groups, netstack.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]})
		}
	}
	return groups
}

// note tells the user what was not obtained.
func (p *port) note() {
	if !p.hugepages() {
		p.notes = append(p.notes, "packet memory is in ordinary pages, which can cost speed: reserve hugepages (echo 128 > /proc/sys/vm/nr_hugepages)")
	}
	if p.cfg.Interrupts && !p.interrupts {
		p.notes = append(p.notes, fmt.Sprintf("%s has no receive interrupts: an idle loop polls, with short sleeps", p.driver))
	}
	if len(p.queues) > 1 && !p.spreads {
		p.notes = append(p.notes, fmt.Sprintf("%s does not say how it spreads packets over its queues", p.driver))
	}
	if p.isolated {
		p.notes = append(p.notes, "ARP of this device goes to this process while it runs, and not to the kernel: give it a virtual function of its own if the kernel needs that")
	}
	if p.withoutICMP != nil {
		p.notes = append(p.notes, fmt.Sprintf("%s takes no rule for ICMP %v: nobody answers a ping, and IPv6 neighbours do not find this process: "+
			"where the firmware can, mstconfig sets UCTX_EN=1 (docs/mellanox.md)", p.driver, p.withoutICMP))
	}
	p.notes = append(p.notes, adviceOn(p.driver, libraryRelease())...)
}

// agree says what of a further queue's configuration is not the first one's.
func (p *port) agree(cfg *Config, queues int) error {
	if !reflect.DeepEqual(*cfg, p.cfg) {
		return wrong("device", "%s is open with other settings: give all its queues the same", p.device.name)
	}
	if queues != len(p.queues) {
		return fmt.Errorf("dpdk: %s is open with %d queues, not %d: close it first", p.device.name, len(p.queues), queues)
	}
	return nil
}

// take hands out a queue, with an lcore of its own.
func (p *port) take(queue int) (err error) {
	q := &p.queues[queue]
	if q.out {
		return fmt.Errorf("dpdk: queue %d of %s is in use: close it first, or name another device", queue, p.device.name)
	}
	if q.lcore, err = reserveLcore(); err != nil {
		return err
	}
	q.out = true
	return nil
}

func (p *port) giveBack(queue, held int) {
	q := &p.queues[queue]
	giveBackLcore(q.lcore)
	q.out = false
	q.held += held
}

// close returns the device and its memory to EAL. An error names packets that
// did not come back.
func (p *port) close() error {
	p.open = false
	if p.driver == "net_memif" {
		// The driver (22.11) crashes the process if it is closed while a thread of
		// EAL's speaks with the peer. A peer that comes during the pause is not
		// waited for; the other ports' clocks stand still meanwhile.
		time.Sleep(memifHandshake)
	}
	err := p.detach()
	for i := range p.queues {
		q := &p.queues[i]
		if missing := q.missing(); missing != q.held {
			err = errors.Join(err, fmt.Errorf("dpdk: %d packet buffers of queue %d of %s did not come back, and %d were lent: "+
				"this is a bug, please report it", missing, i, p.device.name, q.held))
			continue // whoever has them may still touch them
		}
		q.free()
	}
	return err
}

// takeEvents acts on what the driver reported.
func (p *port) takeEvents(now time.Time) {
	reset, removed := p.events()
	if removed {
		p.gone.Store(true)
		p.up.Store(false)
		p.quiesce()
	}
	if p.gone.Load() {
		return
	}
	if reset && p.resetAt.IsZero() {
		p.up.Store(false)
		p.quiesce()
		p.resetAt = now
	}
	if p.resetAt.IsZero() || now.Before(p.resetAt) {
		return
	}
	if p.reset() != nil || p.bringUp() != nil {
		p.resetAt = now.Add(resetEvery)
		return
	}
	p.resetAt = time.Time{}
	p.resume()
}

// look reads link and counters.
func (p *port) look() {
	if !p.resetAt.IsZero() || p.gone.Load() {
		return
	}
	up, rate := p.link()
	if up {
		p.linkRate.Store(rate)
	}
	p.up.Store(up)
	p.missed.Store(p.dropped())
}

// awaitLink gives a cable's link time to come up. Any goroutine but the control
// goroutine may call it.
func (p *port) awaitLink() {
	if p.device.kind == virtualDevice {
		return
	}
	for end := time.Now().Add(linkPatience); !p.up.Load() && time.Now().Before(end); {
		time.Sleep(tickEvery)
	}
}

// overflow is how many packets the device dropped for want of room. It does not
// say in which queue: the first answers for all. Anybody may call it.
func (p *port) overflow(queue int) uint64 {
	if queue != 0 {
		return 0
	}
	return p.missed.Load()
}
