package mem

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// network is an address space. Only opening, closing and finding an endpoint
// takes its lock.
type network struct {
	mu    sync.Mutex
	ports map[netip.AddrPort][]*endpoint // by queue; nil where none is open

	// closes counts closed endpoints: a sender whose buffers lie with one may
	// take them back.
	closes atomic.Uint64
}

// firstEphemeral is the first port handed out for port 0 (RFC 6335).
const firstEphemeral = 49152

// open adds queue of queues to the address in cfg.
func (n *network) open(cfg Config, queue, queues int) (*endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr := cfg.Address
	for port := firstEphemeral; addr.Port() == 0; port++ {
		if port > 65535 {
			return nil, fmt.Errorf("mem: all ports of %v are taken: close some: %w", addr.Addr(), syscall.EADDRINUSE)
		}
		if free := netip.AddrPortFrom(addr.Addr(), uint16(port)); n.ports[free] == nil && !n.overlaps(free) {
			addr = free
		}
	}
	if n.overlaps(addr) {
		return nil, taken(addr)
	}
	shared := n.ports[addr]
	if shared == nil {
		shared = make([]*endpoint, queues)
	}
	if len(shared) != queues || shared[queue] != nil {
		return nil, taken(addr)
	}
	cfg.Address = addr
	shared[queue] = newEndpoint(n, cfg, queue, queues)
	if n.ports == nil {
		n.ports = make(map[netip.AddrPort][]*endpoint)
	}
	n.ports[addr] = shared
	return shared[queue], nil
}

func taken(addr netip.AddrPort) error {
	return fmt.Errorf("mem: %v is taken: close what listens there or choose another port: %w", addr, syscall.EADDRINUSE)
}

// wildcards are what stands for all loopback addresses of a family; the second
// for those of both.
var wildcards = [2]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}

// covers says whether who listens at wildcard is reached at addr.
func covers(wildcard, addr netip.Addr) bool {
	return wildcard.IsUnspecified() && addr.IsLoopback() && (wildcard.Is6() || addr.Is4())
}

// overlaps says whether somebody listens at some, not at all, of the addresses
// that addr stands for, or at more.
func (n *network) overlaps(addr netip.AddrPort) bool {
	for _, wildcard := range wildcards {
		if covers(wildcard, addr.Addr()) && n.ports[netip.AddrPortFrom(wildcard, addr.Port())] != nil {
			return true
		}
	}
	if addr.Addr().IsUnspecified() {
		for other := range n.ports {
			both := other.Addr().IsUnspecified() && other != addr
			if other.Port() == addr.Port() && (both || covers(addr.Addr(), other.Addr())) {
				return true
			}
		}
	}
	return false
}

// mustOpen opens the one queue of an address known to be free.
func (n *network) mustOpen(cfg Config, addr netip.AddrPort) *endpoint {
	cfg.Address = addr
	e, err := n.open(cfg, 0, 1)
	if err != nil {
		panic(err)
	}
	return e
}

// find returns the queue at addr that serves what from sends, or nil. Senders
// with queues of their own meet the queue of the same index, others are spread
// by port, so that replies come back to the queue that asked.
func (n *network) find(addr netip.AddrPort, from *endpoint) *endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	shared := n.ports[addr]
	for _, wildcard := range wildcards {
		if shared == nil && covers(wildcard, addr.Addr()) {
			shared = n.ports[netip.AddrPortFrom(wildcard, addr.Port())]
		}
	}
	if shared == nil {
		return nil
	}
	spread := int(from.addr.Port())
	if from.queues > 1 {
		spread = from.queue
	}
	return shared[spread%len(shared)]
}

// remove takes the closed e out of the address space, and wakes those who may
// be waiting for buffers that lie with it.
func (n *network) remove(e *endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	shared := n.ports[e.addr]
	shared[e.queue] = nil
	if !slices.ContainsFunc(shared, isOpen) {
		delete(n.ports, e.addr)
	}
	n.closes.Add(1)
	for _, queues := range n.ports {
		for _, other := range queues {
			if isOpen(other) {
				other.Wake()
			}
		}
	}
}

func isOpen(e *endpoint) bool { return e != nil }
