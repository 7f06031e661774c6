package netstack

import (
	"encoding/binary"
	"net/netip"
)

// Verdict says what a received frame is.
type Verdict uint8

// Verdicts.
const (
	UDP         Verdict = iota // a datagram to one of our addresses, and whole
	ForStack                   // for Stack.Input: ARP, ICMP
	NotForUs                   // another station's, or of no use
	Fragment                   // part of a datagram to us: nobody should have fragmented it
	Malformed                  // lengths that contradict each other, or too short
	BadChecksum                // damaged on the way
	Verdicts                   // how many there are
)

// fine is the verdict so far.
const fine = UDP

// Checked says which checksums the device found right.
type Checked uint8

// The checksums. What is not among them is verified here.
const (
	IPChecked  Checked = 1 << iota // IPv4's, of the header
	UDPChecked                     // UDP's, or the device vouches for the payload in another way
)

// Datagram is what Parse finds.
type Datagram struct {
	Payload []byte // in the frame
	From    netip.AddrPort
	To      netip.Addr // ours
	// Port is the destination port. Whether it is one of ours is the caller's
	// to say.
	Port uint16
	ECN  uint8 // RFC 3168, from 0 to 3
}

// Parser takes received frames apart. It is made by Stack.Parser and never
// changes: any number of goroutines may use one, and copies of it.
type Parser struct {
	usual    usual // for ParseUsual
	mac      MAC
	vlan     uint16
	untagged bool // accepted too, where vlan is not 0
	ipv4     [][4]byte
	ipv6     [][16]byte
	partial  bool
}

// Parse looks at any frame, without its check sequence. If the verdict is UDP then
// d is filled in; else it is not touched. It keeps nothing, and does not say who
// may be answered: Stack.Resolve does.
func (p *Parser) Parse(b []byte, device Checked, d *Datagram) Verdict {
	f, v := p.ethernet(b)
	if v != fine {
		return v
	}
	switch f.kind {
	case typeIPv4:
		return p.parseIPv4(f, device, d)
	case typeIPv6:
		return p.parseIPv6(f, device, d)
	case typeARP:
		return ForStack
	}
	return NotForUs
}

func (p *Parser) parseIPv4(f frame, device Checked, d *Datagram) Verdict {
	body, v := ipv4(f.packet, device&IPChecked != 0)
	if v != fine {
		return v
	}
	ip := f.packet[:ipv4Size]
	if f.group || !p.isOurs4([4]byte(ip[16:20])) {
		return NotForUs
	}
	if isFragment(ip) {
		return Fragment
	}
	switch ip[9] {
	case protoUDP:
		return p.udp(netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20])), ip[12:20], body, ip[1]&3, device, d)
	case protoICMP:
		return ForStack
	}
	return NotForUs
}

func (p *Parser) parseIPv6(f frame, device Checked, d *Datagram) Verdict {
	body, v := ipv6(f.packet)
	if v != fine {
		return v
	}
	ip := f.packet[:ipv6Size]
	if f.group || !p.isOurs6([16]byte(ip[24:40])) {
		if ip[6] == protoICMPv6 && ip[24] == 0xff {
			return ForStack
		}
		return NotForUs
	}
	switch ip[6] {
	case protoUDP:
		from := netip.AddrFrom16([16]byte(ip[8:24]))
		if from.Is4In6() {
			return Malformed // no such sender: it would pass for the IPv4 one
		}
		return p.udp(from, netip.AddrFrom16([16]byte(ip[24:40])), ip[8:40], body, ip[1]>>4&3, device, d)
	case protoICMPv6:
		return ForStack
	case protoFragment:
		return Fragment
	}
	return NotForUs
}

// udp looks at UDP in an IP packet; addrs are the source and destination as they
// stand in its header.
func (p *Parser) udp(from, to netip.Addr, addrs, b []byte, ecn uint8, device Checked, d *Datagram) Verdict {
	if len(b) < udpSize {
		return Malformed
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < udpSize || length > len(b) {
		return Malformed
	}
	b = b[:length] // what follows it in the packet are options of UDP (RFC 9868)
	check := binary.BigEndian.Uint16(b[6:])
	if check == 0 {
		if from.Is6() {
			return BadChecksum // RFC 8200, section 8.1; in IPv4 it says that there is none
		}
	} else if device&UDPChecked == 0 {
		part := pseudo(addrs, protoUDP, length)
		if sum(uint32(part), b) != 0xffff && !(p.partial && check == part) {
			return BadChecksum
		}
	}
	d.Payload = b[udpSize:]
	d.From = netip.AddrPortFrom(from, binary.BigEndian.Uint16(b))
	d.To = to
	d.Port = binary.BigEndian.Uint16(b[2:])
	d.ECN = ecn
	return UDP
}

func (p *Parser) isOurs4(addr [4]byte) bool {
	for i := range p.ipv4 {
		if p.ipv4[i] == addr {
			return true
		}
	}
	return false
}

func (p *Parser) isOurs6(addr [16]byte) bool {
	for i := range p.ipv6 {
		if p.ipv6[i] == addr {
			return true
		}
	}
	return false
}

// frame is an Ethernet frame without its header.
type frame struct {
	kind   uint16 // EtherType
	group  bool   // to a multicast or broadcast address
	packet []byte // with padding
}

// ethernet takes off the Ethernet header and the tag of our VLAN. A tag of VLAN 0
// only has a priority, and is as good as none.
func (p *Parser) ethernet(b []byte) (frame, Verdict) {
	if len(b) < ethernetSize {
		return frame{}, Malformed
	}
	group := b[0]&1 != 0
	if !group && MAC(b[:6]) != p.mac {
		return frame{}, NotForUs
	}
	kind, vlan := binary.BigEndian.Uint16(b[12:]), uint16(0)
	b = b[ethernetSize:]
	if kind == typeVLAN {
		if len(b) < tagSize {
			return frame{}, Malformed
		}
		vlan = binary.BigEndian.Uint16(b) & 0xfff
		kind = binary.BigEndian.Uint16(b[2:])
		b = b[tagSize:]
	}
	if vlan != p.vlan && !(p.untagged && vlan == 0) {
		return frame{}, NotForUs
	}
	return frame{kind, group, b}, fine
}

// ipv4 returns the body of an IPv4 packet, without padding.
func ipv4(b []byte, checked bool) ([]byte, Verdict) {
	if len(b) < ipv4Size || b[0]>>4 != 4 {
		return nil, Malformed
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4Size || total < header || len(b) < total {
		return nil, Malformed
	}
	if !checked && sum(0, b[:header]) != 0xffff {
		return nil, BadChecksum
	}
	return b[header:total], fine
}

// isFragment says whether an IPv4 packet has offset or more to come.
func isFragment(ip []byte) bool { return binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 }

// ipv6 returns the body of an IPv6 packet, without padding.
func ipv6(b []byte) ([]byte, Verdict) {
	if len(b) < ipv6Size || b[0]>>4 != 6 {
		return nil, Malformed
	}
	end := ipv6Size + int(binary.BigEndian.Uint16(b[4:]))
	if len(b) < end {
		return nil, Malformed
	}
	return b[ipv6Size:end], fine
}
