package netstack

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Config is a station on a link.
type Config struct {
	MAC  MAC
	VLAN uint16 // 0: untagged
	// Addrs are the station's addresses with their networks. It also has the
	// IPv6 link-local address that derives from its MAC.
	Addrs []netip.Prefix
	// Gateways are those to all other networks: one a family at most.
	Gateways []netip.Addr
	// MTU is the longest IP packet, in bytes.
	MTU int
	// AcceptPartial accepts datagrams whose UDP checksum is only the sum of the
	// pseudo-header, which is what a kernel sends over a virtual device: their
	// payload is not protected.
	AcceptPartial bool
}

// Stack is one station. Any goroutine may call its methods.
//
// Those that may have frames to send take an emit, which is called under the
// stack's lock with a frame that is valid until it returns. It must not call the
// stack. A frame that it drops counts as lost on the link.
type Stack struct {
	parser     Parser
	mtu        int
	local      []netip.Prefix
	gateways   []netip.Addr
	generation atomic.Uint64
	heard      atomic.Uint64 // reports in unreachables so far

	mu           sync.Mutex
	neighbours   neighbours
	counters     Counters
	unreachables unreachables
	out          []byte // the frame under construction
}

// Counters count since New.
type Counters struct {
	ARPReplies     uint64 // sent
	Advertisements uint64 // sent in answer to a neighbour solicitation
	EchoReplies    uint64 // sent
	Solicitations  uint64 // ARP requests and neighbour solicitations sent
	Conflicts      uint64 // another station claimed one of our addresses
	TooBig         uint64 // reports that a packet of ours exceeded the path's MTU
	Ignored        uint64 // nothing that we answer or believe
	Malformed      uint64 // damaged frames among them
}

// New returns a station that nobody knows yet. Errors are the user's
// configuration.
func New(c Config) (*Stack, error) {
	if !c.MAC.isStation() {
		return nil, fmt.Errorf("%v is no station's Ethernet address: give a unicast one such as 02:00:5e:10:00:01", c.MAC)
	}
	if c.VLAN > 4094 {
		return nil, fmt.Errorf("there is no VLAN %d: give 1 to 4094, or 0 for none", c.VLAN)
	}
	if len(c.Addrs) == 0 {
		return nil, fmt.Errorf("a station needs an address: give one with its network, such as 10.0.1.7/24")
	}
	s := &Stack{
		parser: Parser{mac: c.MAC, vlan: c.VLAN, partial: c.AcceptPartial},
		mtu:    c.MTU,
	}
	s.neighbours.init()
	for _, prefix := range c.Addrs {
		if err := s.addLocal(prefix); err != nil {
			return nil, err
		}
	}
	if own := netip.PrefixFrom(linkLocal(c.MAC), 64); !s.isLocal(own.Addr()) {
		if err := s.addLocal(own); err != nil {
			return nil, err
		}
	}
	if c.VLAN == 0 && len(s.parser.ipv4) > 0 {
		s.parser.usual = newUsual(c.MAC, s.parser.ipv4[0])
	}
	for _, gateway := range c.Gateways {
		if err := s.addGateway(gateway.Unmap()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Parser returns a parser of frames to this station.
func (s *Stack) Parser() Parser { return s.parser }

// Generation changes whenever a neighbour has got a MAC, its first or another.
func (s *Stack) Generation() uint64 { return s.generation.Load() }

// Counters returns the counters so far.
func (s *Stack) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}

// Announce tells the link at which MAC our addresses are, so that neighbours
// that knew another one correct it (RFC 5227, section 2.3; RFC 4861, section
// 7.2.6).
func (s *Stack) Announce(emit func(frame []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, prefix := range s.local {
		if addr := prefix.Addr(); addr.Is4() {
			s.sendARP(arpRequest, broadcast, addr, MAC{}, addr, emit)
		} else {
			s.advertise(allNodesMAC, addr, allNodes, false, emit)
		}
	}
}

// Input takes a frame for which the verdict was ForStack, and answers it if it
// asks for something. Any other frame is safe, and ignored.
func (s *Stack) Input(now int64, b []byte, emit func(frame []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, v := s.parser.ethernet(b)
	if v == fine {
		from := MAC(b[6:12])
		switch {
		case !s.isOther(from):
			v = NotForUs
		case f.kind == typeARP:
			v = s.inputARP(now, f, emit)
		case f.kind == typeIPv4:
			v = s.inputIPv4(f, from, emit)
		case f.kind == typeIPv6:
			v = s.inputIPv6(now, f, from, emit)
		default:
			v = NotForUs
		}
	}
	switch v {
	case fine:
	case Malformed, BadChecksum:
		s.counters.Malformed++
	default:
		s.counters.Ignored++
	}
}

// isOther says whether mac can be another station's.
func (s *Stack) isOther(mac MAC) bool { return mac.isStation() && mac != s.parser.mac }

// open begins a frame.
func (s *Stack) open(to MAC, kind uint16) []byte {
	return appendEthernet(s.out[:0], to, s.parser.mac, s.parser.vlan, kind)
}

// send emits a frame begun with open. Its memory is used again.
func (s *Stack) send(b []byte, emit func(frame []byte)) {
	s.out = b
	emit(b)
}
