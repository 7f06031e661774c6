package sim

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// HostConfig describes a host. The zero value is a fast one.
type HostConfig struct {
	// PacketCost is the CPU time that receiving or sending one datagram takes.
	// It occupies the actor, and a datagram leaves when it has passed.
	PacketCost time.Duration
	// SendQueue is how many datagrams each port may have waiting in the network
	// card; 0 is 1024.
	SendQueue int
	// RecvBuffer is how many bytes of payload may wait at each port to be
	// received; more are dropped. 0 is unlimited.
	RecvBuffer int
	// Unreachable has the host say so, as by ICMP, when a datagram arrives for a
	// port that nobody has open. It is silent otherwise.
	Unreachable bool
	// NoChecksum delivers damaged datagrams, which are dropped otherwise.
	NoChecksum bool
}

const (
	defaultSendQueue = 1024
	never            = time.Duration(math.MaxInt64)
)

// Host is a computer with one link.
type Host struct {
	net   *Network
	name  string
	cfg   HostConfig
	addr  netip.Addr
	out   *Pipe   // its link
	at    *Switch // and what it leads to, if that is no host
	turns int     // of ports at the network card

	services    []*service
	ports       []*Port // open, or with something left to send
	tasks       []*task
	pausedUntil time.Duration
	unclaimed   uint64
	err         error

	// The network card has one event outstanding, or none.
	nicAt    time.Duration
	nicOrder uint64
}

// service is one port number, with its queues.
type service struct {
	number uint16
	steer  Steering
	queues []*Port
}

// Steering is how a host chooses among the queues of one port.
type Steering uint8

// What a host can do.
const (
	// ByFlow takes the datagrams between two ports always to the same queue.
	ByFlow Steering = iota
	// AtRandom chooses for each datagram anew.
	AtRandom
)

// Host adds a host. Its address is 10.0.0.1 for the first, and so on.
func (n *Network) Host(name string, cfg HostConfig) *Host {
	if cfg.PacketCost < 0 || cfg.SendQueue < 0 || cfg.RecvBuffer < 0 {
		panic(fmt.Sprintf("sim: host %s has a negative setting: %+v", name, cfg))
	}
	if cfg.SendQueue == 0 {
		cfg.SendQueue = defaultSendQueue
	}
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], 10<<24|uint32(len(n.hosts)+1))
	h := &Host{net: n, name: name, cfg: cfg, addr: netip.AddrFrom4(addr), nicAt: never}
	n.hosts = append(n.hosts, h)
	return h
}

// hostAt returns the host with an address, or nil.
func (n *Network) hostAt(addr netip.Addr) *Host {
	if !addr.Is4() {
		return nil
	}
	b := addr.As4()
	index := binary.BigEndian.Uint32(b[:]) - 10<<24 - 1
	if uint64(index) >= uint64(len(n.hosts)) {
		return nil
	}
	return n.hosts[index]
}

// Name implements Node.
func (h *Host) Name() string { return h.name }

// Addr is the host's address.
func (h *Host) Addr() netip.Addr { return h.addr }

// Err is the error of the first actor that failed, since the host was made or
// killed. An actor that has failed is not polled any more.
func (h *Host) Err() error { return h.err }

// Unclaimed counts the datagrams that arrived for a port that nobody had open.
func (h *Host) Unclaimed() uint64 { return h.unclaimed }

func (h *Host) network() *Network { return h.net }

func (h *Host) attach(out *Pipe) {
	if h.out != nil {
		panic(fmt.Sprintf("sim: host %s has a link already: connect more by a switch", h.name))
	}
	h.out = out
	h.at, _ = out.to.(*Switch)
}

// Open opens a port of one queue.
func (h *Host) Open(number uint16) *Port { return h.OpenQueues(number, 1, ByFlow)[0] }

// OpenQueues opens a port of several queues.
func (h *Host) OpenQueues(number uint16, queues int, steer Steering) []*Port {
	if h.out == nil {
		panic(fmt.Sprintf("sim: host %s has no link: make one before it opens a port", h.name))
	}
	if number == 0 || queues < 1 || h.find(number) != nil {
		panic(fmt.Sprintf("sim: host %s cannot open port %d with %d queues: give a free port and at least one queue",
			h.name, number, queues))
	}
	s := &service{number: number, steer: steer}
	for queue := range queues {
		s.queues = append(s.queues, newPort(h, number, queue, queues))
	}
	h.services = append(h.services, s)
	h.ports = append(h.ports, s.queues...)
	return slices.Clone(s.queues)
}

func (h *Host) find(number uint16) *service {
	for _, s := range h.services {
		if s.number == number {
			return s
		}
	}
	return nil
}

// Run starts an actor, to be polled whenever one of the ports has something for
// it. It runs on a CPU of its own. It ends when all its ports are closed.
func (h *Host) Run(actor Actor, ports ...*Port) {
	t := &task{host: h, actor: actor, ports: ports, deadline: never, timerAt: never}
	for _, p := range ports {
		p.task = t
	}
	h.tasks = append(h.tasks, t)
	t.wake()
}

// Kick has all actors of the host polled: they were given work from outside. An
// actor that remembers the time of its last poll, as *core.Endpoint does, has to
// be told the present one before it is given work: see its Advance.
func (h *Host) Kick() {
	for _, t := range h.tasks {
		t.wake()
	}
}

// Pause stops the host's actors for a time, as a scheduler does. Its network
// card goes on.
func (h *Host) Pause(d time.Duration) {
	until := h.net.now + d
	if until <= h.pausedUntil {
		return
	}
	h.pausedUntil = until
	h.note("pause")
	h.net.At(until, func() {
		if h.pausedUntil == until {
			h.Resume()
		}
	})
}

// Stop stops the host's actors until Resume.
func (h *Host) Stop() {
	h.pausedUntil = never
	h.note("stop")
}

// Resume ends Stop and Pause.
func (h *Host) Resume() {
	h.pausedUntil = 0
	h.note("resume")
	h.Kick()
}

func (h *Host) paused() bool { return h.pausedUntil > h.net.now }

// Kill ends all actors and closes all ports, without a word to anybody. The
// ports may be opened again. What the network card holds still goes out.
func (h *Host) Kill() {
	h.note("kill")
	for _, t := range h.tasks {
		t.ended = true
	}
	h.tasks = nil
	for _, p := range slices.Clone(h.ports) {
		p.close()
	}
	h.pausedUntil, h.err = 0, nil
}

func (h *Host) fail(err error) {
	if h.err == nil {
		h.err = fmt.Errorf("sim: host %s at %v: %w", h.name, h.net.now, err)
	}
}

// arrive takes a datagram in.
func (h *Host) arrive(p *Packet) {
	s := h.find(p.To.Port())
	if s == nil {
		h.unclaimed++
		if h.cfg.Unreachable && p.Unreachable == nil {
			h.answerUnreachable(p)
		}
		h.drop(p, "unclaimed")
		return
	}
	queue := 0
	if len(s.queues) > 1 {
		queue = s.choose(h.net, p)
	}
	if p.Unreachable != nil {
		s.queues[queue].hear(p)
		return
	}
	s.queues[queue].arrive(p)
}

func (s *service) choose(n *Network, p *Packet) int {
	if s.steer == AtRandom {
		return n.random.IntN(len(s.queues))
	}
	b := p.From.Addr().As4()
	flow := uint64(binary.BigEndian.Uint32(b[:]))<<16 | uint64(p.From.Port())
	return int(flow * 0x9E3779B97F4A7C15 >> 32 % uint64(len(s.queues))) // Fibonacci hashing
}

// reaches says whether there is a path to another host.
func (h *Host) reaches(to *Host) bool {
	if h.at == nil {
		return h.out.to == Node(to)
	}
	return h.at.next(to) != nil
}

// transmit lets the network card send what it can: the ports take turns.
func (h *Host) transmit() {
	for {
		if h.out.free > h.net.now {
			h.armNIC(h.out.free)
			return
		}
		p, at := h.next()
		if at > h.net.now {
			h.armNIC(at)
			return
		}
		p.leave()
	}
}

// next returns the port whose turn it is, and when it may send.
func (h *Host) next() (next *Port, at time.Duration) {
	at = never
	for i := range h.ports {
		p := h.ports[(h.turns+i)%len(h.ports)]
		if first := p.leaving.head; first != nil && max(first.at, h.net.now) < at {
			next, at = p, max(first.at, h.net.now)
		}
	}
	h.turns++
	return next, at
}

func (h *Host) armNIC(at time.Duration) {
	if at < h.nicAt {
		h.nicAt = at
		h.nicOrder = h.net.schedule(at, h)
	}
}

// happen is the network card's event.
func (h *Host) happen(order uint64) {
	if order == h.nicOrder {
		h.nicAt = never
		h.transmit()
	}
}

func (h *Host) drop(p *Packet, why string) {
	h.trace(why, p)
	h.net.free(p)
}

func (h *Host) trace(what string, p *Packet) {
	if t := h.net.tracer; t != nil {
		t.packet(what, h.name, "", p)
	}
}

func (h *Host) note(what string) {
	if t := h.net.tracer; t != nil {
		t.note(what, h.name)
	}
}
