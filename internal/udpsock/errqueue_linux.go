package udpsock

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// maxReports is how many reports are kept until somebody asks.
	maxReports = 16
	// quoted is how much of a datagram is kept that came back.
	quoted = 256
	// drainLimit bounds one visit to the error queue.
	drainLimit = 64
)

// errorQueue is what ICMP said about datagrams that could not be delivered, the
// oldest in front.
type errorQueue struct {
	reports [maxReports]report
	first   int
	count   int
	given   report // the last that NextUnreachable returned

	// The kernel's view.
	msg     unix.Msghdr
	iov     unix.Iovec
	name    Sockaddr
	control [256]byte
	data    [quoted]byte
}

type report struct {
	to   netip.AddrPort
	err  syscall.Errno
	data [quoted]byte
	size int
}

// ReportErrors lets the kernel tell of datagrams that could not be delivered. From
// then on any call on the socket may fail once for one that another has sent: after
// an error other than EAGAIN, and on POLLERR, call DrainErrors.
func (s *Socket) ReportErrors() {
	if s.IPv6 && s.set(option{unix.SOL_IPV6, unix.IPV6_RECVERR, 1}) != nil {
		return
	}
	if s.set(option{unix.SOL_IP, unix.IP_RECVERR, 1}) == nil {
		s.errors = new(errorQueue)
	}
}

// DrainErrors takes what the kernel has to tell and returns how many errors it
// was that are not about the present call: after any it is worth another try. It
// makes system calls.
func (s *Socket) DrainErrors() (others int) {
	if s.errors == nil {
		return 0
	}
	for range drainLimit {
		control, data, ok := s.readError()
		if !ok {
			break
		}
		e, ok := parseExtendedError(control)
		if !ok || e.origin != unix.SO_EE_ORIGIN_ICMP && e.origin != unix.SO_EE_ORIGIN_ICMP6 {
			continue
		}
		others++
		if errno := e.unreachable(); errno != 0 {
			s.errors.add(s.errors.name.AddrPort(s.Zones), errno, data)
		}
	}
	// What found no room in the queue is told here, and taken by the asking.
	if errno, err := unix.GetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
		others++
	}
	return others
}

// readError reads one entry of the error queue; its name is where the datagram
// was going.
func (s *Socket) readError() (control, data []byte, ok bool) {
	q := s.errors
	q.name = Sockaddr{}
	q.iov.Base = &q.data[0]
	q.iov.SetLen(len(q.data))
	q.msg = unix.Msghdr{Name: q.name.Ptr(), Namelen: SizeofSockaddr, Iov: &q.iov, Control: &q.control[0]}
	q.msg.SetIovlen(1)
	q.msg.SetControllen(len(q.control))
	n, errno := recvError(s.FD, &q.msg)
	if errno != 0 {
		return nil, nil, false
	}
	return q.control[:min(int(q.msg.Controllen), len(q.control))], q.data[:min(n, len(q.data))], true
}

// extendedError is the front of a sock_extended_err.
type extendedError struct {
	errno        syscall.Errno
	origin       uint8
	kind, detail uint8 // of the ICMP message
}

// parseExtendedError finds it among control messages.
func parseExtendedError(control []byte) (e extendedError, ok bool) {
	for {
		level, kind, data, rest, more := nextControl(control)
		if !more {
			return e, false
		}
		control = rest
		if (level == unix.SOL_IP && kind == unix.IP_RECVERR || level == unix.SOL_IPV6 && kind == unix.IPV6_RECVERR) && len(data) >= 8 {
			return extendedError{
				errno:  syscall.Errno(binary.NativeEndian.Uint32(data)),
				origin: data[4],
				kind:   data[5],
				detail: data[6],
			}, true
		}
	}
}

// unreachable is the reason why a datagram was not delivered, or 0 where it is
// no such report, or none that we go by: of sizes the engine finds out itself.
func (e extendedError) unreachable() syscall.Errno {
	const destination = 3 // ICMP's type; codes 9, 10 and 13 are a firewall's (RFC 1812)
	if e.origin == unix.SO_EE_ORIGIN_ICMP && e.kind == destination && (e.detail == 9 || e.detail == 10 || e.detail == 13) {
		return syscall.EACCES
	}
	switch e.errno {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES:
		return e.errno
	}
	return 0
}

// Undeliverable notes that the kernel refused p itself for that reason, if it is
// one that is reported.
func (s *Socket) Undeliverable(p *transport.TxPacket, reason unix.Errno) {
	if reason == unix.EPERM {
		reason = unix.EACCES // a firewall's word
	}
	d, errno := s.Routes.Get(uint32(p.Route)), extendedError{errno: reason}.unreachable()
	if s.errors == nil || d == nil || errno == 0 {
		return
	}
	var data [quoted]byte
	n := copy(data[:], p.Head)
	n += copy(data[n:], p.Payload)
	s.errors.add(d.Name.AddrPort(s.Zones), errno, data[:n])
}

// add keeps a report, if need be in the place of the oldest.
func (q *errorQueue) add(to netip.AddrPort, err syscall.Errno, data []byte) {
	if q.count == maxReports {
		q.first, q.count = (q.first+1)%maxReports, q.count-1
	}
	r := &q.reports[(q.first+q.count)%maxReports]
	r.to, r.err, r.size = to, err, copy(r.data[:], data)
	q.count++
}

// Reports tells whether NextUnreachable has one.
func (s *Socket) Reports() bool { return s.errors != nil && s.errors.count > 0 }

// NextUnreachable is [transport.UnreachableReporter.NextUnreachable], of what
// DrainErrors took.
func (s *Socket) NextUnreachable() (u transport.Unreachable, ok bool) {
	if !s.Reports() {
		return u, false
	}
	q := s.errors
	r := &q.given
	*r = q.reports[q.first]
	q.first, q.count = (q.first+1)%maxReports, q.count-1
	return transport.Unreachable{To: r.to, Err: r.err, Data: r.data[:r.size]}, true
}
