package udpsock

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// option is a socket option and its value.
type option struct{ level, opt, value int }

func (s *Socket) set(o option) error { return unix.SetsockoptInt(s.FD, o.level, o.opt, o.value) }

// configure sets the socket's options, and Caps to what was obtained.
func (s *Socket) configure(set Settings) error {
	must := []option{
		// No fragments: the engine finds the size that a path carries, and the
		// kernel's own guess at it is not asked.
		{unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
	}
	if s.IPv6 {
		must = append(must,
			option{unix.SOL_IPV6, unix.IPV6_V6ONLY, truth(!s.IPv4)},
			option{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE})
	}
	if s.wildcard {
		// The address that was asked is to answer. Of IPv4 packets, a socket for
		// IPv6 tells it in the mapped form.
		o := option{unix.SOL_IP, unix.IP_PKTINFO, 1}
		if s.IPv6 {
			o = option{unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1}
		}
		must = append(must, o)
	}
	for _, o := range must {
		if err := s.set(o); err != nil {
			return fmt.Errorf("the kernel refuses socket option %d of level %d: %w", o.opt, o.level, err)
		}
	}
	c := &s.Caps
	c.RecvBuffer = s.buffer("recv_buffer", set.RecvBuffer, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, "rmem_max")
	c.SendBuffer = s.buffer("send_buffer", set.SendBuffer, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, "wmem_max")
	// A segment size of 0 is none; setting it tells whether there could be one.
	c.SegmentTx = set.Segment && s.want("segment", "UDP_SEGMENT (Linux 4.18)", option{unix.SOL_UDP, unix.UDP_SEGMENT, 0})
	c.SegmentRx = set.GRO && s.want("gro", "UDP_GRO (Linux 5.0)", option{unix.SOL_UDP, unix.UDP_GRO, 1})
	if set.ECN {
		c.ECN = s.want("ecn", "IP_RECVTOS", option{unix.SOL_IP, unix.IP_RECVTOS, 1}) &&
			(!s.IPv6 || s.want("ecn", "IPV6_RECVTCLASS", option{unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1}))
	}
	c.RxTimestamps = set.Timestamps &&
		s.want("timestamps", "SO_TIMESTAMPNS_NEW (Linux 5.1)", option{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1})
	return nil
}

// want sets an option that the kernel may lack, and notes if it does.
func (s *Socket) want(key, what string, o option) bool {
	err := s.set(o)
	if err != nil {
		s.Note("%s=true was not obtained: this kernel refuses %s: %v", key, what, err)
	}
	return err == nil
}

// buffer asks for a socket buffer, first with the privilege to exceed the
// system's limit, and returns what the kernel accounts for it: payload together
// with its own overhead, for which it doubles what is asked.
func (s *Socket) buffer(key string, size, force, plain int, limit string) int {
	if s.set(option{unix.SOL_SOCKET, force, size}) != nil {
		_ = s.set(option{unix.SOL_SOCKET, plain, size}) // the answer is read below
	}
	got, err := unix.GetsockoptInt(s.FD, unix.SOL_SOCKET, plain)
	if err != nil {
		return 0
	}
	if got/2 < size {
		s.Note("%s=%d was not obtained but %d: run sysctl -w net.core.%s=%d", key, size, got/2, limit, size)
	}
	return got
}

// Note adds a sentence to Caps.Notes.
func (s *Socket) Note(format string, args ...any) {
	s.Caps.Notes = append(s.Caps.Notes, s.Caps.Backend+": "+fmt.Sprintf(format, args...))
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
