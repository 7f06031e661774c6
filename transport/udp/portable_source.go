package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// portableDest is a destination, and the control message that fixes which address
// packets leave from; nil leaves it to the system.
type portableDest struct {
	addr    netip.AddrPort
	control []byte
}

// portableSource tells, on a wildcard address, which address of the host was
// asked, where the system lets us know and choose.
type portableSource struct {
	told bool
	ipv6 bool // the socket's family
	oob  [128]byte
	c4   ipv4.ControlMessage
	c6   ipv6.ControlMessage

	own ownAddresses
}

func (s *portableSource) open(conn *net.UDPConn, v6 bool) error {
	s.ipv6 = v6
	if len((&ipv4.ControlMessage{Src: net.IPv4(127, 0, 0, 1)}).Marshal()) == 0 {
		return errors.New("this system has no IP_PKTINFO")
	}
	err := error(nil)
	if v6 {
		err = ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst, true)
	} else {
		err = ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst, true)
	}
	s.told = err == nil
	return err
}

// read reads a datagram. It is the reader's.
func (s *portableSource) read(conn *net.UDPConn, b []byte) (n int, from netip.AddrPort, to netip.Addr, err error) {
	if !s.told {
		n, from, err = conn.ReadFromUDPAddrPort(b)
		return n, from, to, err
	}
	n, oob, _, from, err := conn.ReadMsgUDPAddrPort(b, s.oob[:])
	if err != nil {
		return n, from, to, err
	}
	var ip net.IP
	if s.ipv6 {
		if s.c6.Parse(s.oob[:oob]) == nil {
			ip = s.c6.Dst
		}
	} else if s.c4.Parse(s.oob[:oob]) == nil {
		ip = s.c4.Dst
	}
	if addr, ok := netip.AddrFromSlice(ip); ok && !addr.IsMulticast() {
		if to = addr.Unmap(); to.IsLinkLocalUnicast() {
			to = to.WithZone(from.Addr().Zone())
		}
	}
	return n, from, to, nil
}

// control is the control message for packets that leave from source. It is the
// owner's.
func (s *portableSource) control(source netip.Addr) ([]byte, error) {
	if !s.told {
		return nil, errors.New("this system does not let us choose the address that packets leave from: open the transport on that one")
	}
	if err := s.own.check(source); err != nil {
		return nil, err
	}
	if source.Is4() {
		return (&ipv4.ControlMessage{Src: source.AsSlice()}).Marshal(), nil
	}
	return (&ipv6.ControlMessage{Src: source.AsSlice()}).Marshal(), nil
}

// ownAddresses remembers which addresses were found to be of this host: asking takes
// system calls, and a server resolves for each handshake.
type ownAddresses map[netip.Addr]struct{}

// maxOwn bounds it, for all of 127.0.0.0/8 is of this host.
const maxOwn = 256

// Check says whether packets can leave from source.
func (s *ownAddresses) check(source netip.Addr) error {
	if _, known := (*s)[source]; known {
		return nil
	}
	probe, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)))
	if err != nil {
		return fmt.Errorf("%v is no address of this host that packets can leave from: %w", source, err)
	}
	if err := probe.Close(); err != nil {
		return err
	}
	if *s == nil || len(*s) >= maxOwn {
		*s = make(ownAddresses)
	}
	(*s)[source] = struct{}{}
	return nil
}
