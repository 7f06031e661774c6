package pcapng

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/peregrine-rpc/peregrine/transport"
)

// framer puts IP and UDP headers before datagrams.
type framer struct {
	buffer gopacket.SerializeBuffer
	ip4    layers.IPv4
	ip6    layers.IPv6
	udp    layers.UDP
	locals map[netip.Addr]netip.Addr // of wildcards: what this host is to a peer
}

const (
	ip4Size = 20
	ip6Size = 40
	udpSize = 8
	// maxLocals bounds the memory for peers of a wildcard.
	maxLocals = 1 << 16
)

func newFramer() *framer {
	return &framer{buffer: gopacket.NewSerializeBuffer(), locals: map[netip.Addr]netip.Addr{}}
}

// frame is the packet that carried f, as far as f has it, and how long it was.
func (r *framer) frame(f *transport.Frame) (packet []byte, size int, err error) {
	local, peer := f.Local, f.Peer
	local = netip.AddrPortFrom(r.local(local.Addr().Unmap(), peer.Addr().Unmap(), f.Direction), local.Port())
	from, to := local, netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	if f.Direction == transport.Inbound {
		from, to = to, from
	}
	if from.Addr().Is4() != to.Addr().Is4() {
		return nil, 0, fmt.Errorf("pcapng: no packet goes from %v to %v", from, to)
	}
	r.udp = layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port()), Length: uint16(udpSize + f.Size)}
	r.buffer.Clear()
	payload, options := gopacket.Payload(f.Data), gopacket.SerializeOptions{ComputeChecksums: true}
	if from.Addr().Is4() {
		size = ip4Size + udpSize + f.Size
		r.ip4 = layers.IPv4{
			Version: 4, IHL: ip4Size / 4, TOS: uint8(f.ECN), Length: uint16(size), Flags: layers.IPv4DontFragment, TTL: 64,
			Protocol: layers.IPProtocolUDP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice(),
		}
		_ = r.udp.SetNetworkLayerForChecksum(&r.ip4) // it takes both kinds
		err = gopacket.SerializeLayers(r.buffer, options, &r.ip4, &r.udp, payload)
	} else {
		size = ip6Size + udpSize + f.Size
		r.ip6 = layers.IPv6{
			Version: 6, TrafficClass: uint8(f.ECN), Length: uint16(udpSize + f.Size), HopLimit: 64,
			NextHeader: layers.IPProtocolUDP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice(),
		}
		_ = r.udp.SetNetworkLayerForChecksum(&r.ip6)
		err = gopacket.SerializeLayers(r.buffer, options, &r.ip6, &r.udp, payload)
	}
	return r.buffer.Bytes(), size, err
}

// local is the address that this host has towards a peer, where the transport's is
// a wildcard: the one that the peer used last, or that the kernel would use.
func (r *framer) local(local, peer netip.Addr, d transport.Direction) netip.Addr {
	if !local.IsUnspecified() {
		if d == transport.Inbound && len(r.locals) < maxLocals {
			r.locals[peer] = local
		}
		return local
	}
	if known, ok := r.locals[peer]; ok {
		return known
	}
	conn, err := net.Dial("udp", netip.AddrPortFrom(peer, 9).String()) // asks for a route, and sends nothing
	if err != nil {
		return local
	}
	defer conn.Close()
	if at, ok := conn.LocalAddr().(*net.UDPAddr); ok && len(r.locals) < maxLocals {
		r.locals[peer] = at.AddrPort().Addr().Unmap()
		return r.locals[peer]
	}
	return local
}

// write appends f to a file.
func (r *framer) write(w *pcapgo.NgWriter, id int, f *transport.Frame, comments []string) error {
	packet, size, err := r.frame(f)
	if err != nil {
		return err
	}
	options := pcapgo.NgPacketOptions{Comments: comments, Flags: &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionOutbound}}
	if f.Direction == transport.Inbound {
		options.Flags.Direction = pcapgo.NgEpbFlagDirectionInbound
	}
	if f.Missed > 0 {
		options.DropCount = &f.Missed
	}
	return w.WritePacketWithOptions(gopacket.CaptureInfo{
		Timestamp: time.Unix(0, f.Time), CaptureLength: len(packet), Length: max(size, len(packet)), InterfaceIndex: id,
	}, packet, options)
}
