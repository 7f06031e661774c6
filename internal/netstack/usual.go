package netstack

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// usual is what nearly all frames to us have in common: untagged, IPv4 without
// options, not a fragment, UDP to our first address. It is compared in four words
// rather than field by field, which takes half the time.
type usual struct {
	// want holds bytes 0, 12, 20 and 30 onwards of such a frame where mask has
	// ones.
	want, mask [4]uint64
}

const usualSize = ethernetSize + ipv4Size + udpSize

func newUsual(mac MAC, addr [4]byte) usual {
	var want, mask [38]byte
	set := func(at int, value, relevant byte) { want[at], mask[at] = value, relevant }
	for i, octet := range mac {
		set(i, octet, 0xff)
	}
	set(12, typeIPv4>>8, 0xff)
	set(13, typeIPv4&0xff, 0xff)
	set(14, 0x45, 0xff)
	set(20, 0, 0xff&^(dontFragment>>8))
	set(21, 0, 0xff)
	set(23, protoUDP, 0xff)
	for i, octet := range addr {
		set(30+i, octet, 0xff)
	}
	var u usual
	for i, at := range [4]int{0, 12, 20, 30} {
		u.want[i] = binary.LittleEndian.Uint64(want[at:])
		u.mask[i] = binary.LittleEndian.Uint64(mask[at:])
	}
	return u
}

// ParseUsual is Parse for the usual frame: if b is one and whole, it returns the
// payload, and Usual has the rest of the datagram. Else it returns nil, and Parse
// has the verdict.
func (p *Parser) ParseUsual(b []byte, device Checked) (payload []byte) {
	u := &p.usual
	if len(b) < usualSize {
		return nil
	}
	differs := (binary.LittleEndian.Uint64(b) ^ u.want[0]) & u.mask[0]
	differs |= (binary.LittleEndian.Uint64(b[12:]) ^ u.want[1]) & u.mask[1]
	differs |= (binary.LittleEndian.Uint64(b[20:]) ^ u.want[2]) & u.mask[2]
	differs |= (binary.LittleEndian.Uint64(b[30:]) ^ u.want[3]) & u.mask[3]
	total := int(binary.BigEndian.Uint16(b[16:]))
	length := int(binary.BigEndian.Uint16(b[38:]))
	if differs != 0 || u.mask[0] == 0 || total > len(b)-ethernetSize || length > total-ipv4Size || length < udpSize {
		return nil
	}
	if device != IPChecked|UDPChecked {
		// Source and destination, which both sums cover.
		addrs := uint64(binary.LittleEndian.Uint32(b[26:])) + uint64(binary.LittleEndian.Uint32(b[30:]))
		if device&IPChecked == 0 {
			first, second := binary.LittleEndian.Uint64(b[14:]), binary.LittleEndian.Uint32(b[22:])
			if fold64(addrs+first>>32+first&0xffffffff+uint64(second)) != 0xffff {
				return nil
			}
		}
		if device&UDPChecked == 0 && (b[40] != 0 || b[41] != 0) {
			pseudo := addrs + uint64(bits.ReverseBytes16(protoUDP+uint16(length)))
			if fold64(pseudo+sum64(b[usualSize-udpSize:][:length])) != 0xffff {
				return nil
			}
		}
	}
	return b[usualSize:][:length-udpSize]
}

// UsualTo is the address of ours that usual frames are sent to.
func (p *Parser) UsualTo() netip.Addr {
	if len(p.ipv4) == 0 {
		return netip.Addr{}
	}
	return netip.AddrFrom4(p.ipv4[0])
}

// Usual is a frame that ParseUsual found to be one.
type Usual []byte

// From is the sender.
func (u Usual) From() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(u[26:30])), binary.BigEndian.Uint16(u[34:]))
}

// Port is the destination port.
func (u Usual) Port() uint16 { return binary.BigEndian.Uint16(u[36:]) }

// ECN is the code point (RFC 3168), from 0 to 3.
func (u Usual) ECN() uint8 { return u[15] & 3 }
