package udp

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// txBuffers is how many Heads can be lent at a time.
	txBuffers = 128
	// txMessages bounds a sendmmsg, and so the time that the thread, which
	// does not tell the runtime of the call, keeps the collector waiting.
	txMessages = 32
	// txSegments is UDP_MAX_SEGMENTS of kernels before 6.9.
	txSegments = 64
	// txIovecs serve the messages of one call together.
	txIovecs = 512
	// joinLimit is the size up to which the packets of a run are copied
	// together.
	joinLimit = 512
)

// sender turns packets into messages. A message is a run: equal-sized packets
// of one destination and code point, the last of which may be shorter, that the
// kernel takes as one send and cuts apart below the IP layer (UDP_SEGMENT).
type sender struct {
	// The kernel's view, filled anew for each call.
	msgs    [txMessages]unix.Mmsghdr
	iovs    [txIovecs]unix.Iovec
	control [txMessages][2]cmsg
	// join holds the packets of runs that are copied together.
	join   [txSegments * joinLimit]byte
	joined int
	// runs is what each message consists of.
	runs [txMessages]run

	segment bool // the kernel cuts runs, as far as known
	full    bool // the last Send met a full socket buffer
	taken   uint64
	marking marking
}

type run struct{ packets, bytes int }

// cmsg is a control message with data of up to four bytes.
type cmsg struct {
	unix.Cmsghdr
	data [bits.UintSize / 8]byte
}

func (t *sender) init(segment, ecn bool) {
	t.segment = segment
	t.marking.enabled = ecn
}

// front is what one Send remembers of the packets at the front of its rest.
type front struct {
	// plain is how many are sent one by one because the kernel refused them as
	// a run; lasting, that it may be unable to take any.
	plain   int
	lasting bool
	// again says that the first one was refused before.
	again bool
}

// Send implements [transport.Transport].
func (s *socket) Send(pkts []transport.TxPacket) (taken int, err error) {
	if s.closed.Load() {
		return 0, errClosed
	}
	t := &s.tx
	t.full = false
	t.marking.follow(s)
	var f front
	var sum run
	calls := 0
	for taken < len(pkts) && !t.full && err == nil {
		rest := pkts[taken:]
		if f.plain > 0 {
			rest = rest[:f.plain]
		}
		sent, errno := s.push(rest, t.segment && f.plain == 0)
		calls++
		n := sent.packets
		switch {
		case n > 0:
			if f.lasting {
				t.segment = false
			}
			f.lasting, f.again = false, false
		case errno == unix.EAGAIN:
			t.full = true
		case errno == unix.EBADF || errno == unix.ENOTSOCK:
			err = fmt.Errorf("udp: the socket is gone: %w", errno)
		default:
			n = s.refused(&f, errno)
		}
		s.heads.take(rest[:n])
		f.plain = max(f.plain-n, 0)
		taken += n
		sum.packets += sent.packets
		sum.bytes += sent.bytes
	}
	t.taken += uint64(taken)
	s.stats.txPackets.Add(uint64(sum.packets))
	s.stats.txBytes.Add(uint64(sum.bytes))
	s.stats.txCalls.Add(uint64(calls))
	return taken, err
}

// refused decides on the message at the front that the kernel did not take, and
// returns how many packets to drop.
func (s *socket) refused(f *front, errno unix.Errno) (drop int) {
	packets := s.tx.runs[0].packets
	switch {
	case packets > 1 && (errno == unix.EMSGSIZE || lacksSegmentation(errno)):
		f.plain, f.lasting = packets, errno != unix.EMSGSIZE
		return 0
	case errno == unix.EMSGSIZE:
		s.stats.tooLarge.Add(1)
	case !f.again:
		// An ICMP message about an earlier packet is reported once, by
		// whichever call comes next.
		f.again = true
		return 0
	default:
		s.stats.refused.Add(uint64(packets))
	}
	f.lasting, f.again = false, false
	return packets
}

// lacksSegmentation tells the answers of kernels and devices that cannot cut
// runs apart. The same numbers have other causes too.
func lacksSegmentation(errno unix.Errno) bool {
	return errno == unix.EIO || errno == unix.EINVAL || errno == unix.ENOPROTOOPT || errno == unix.EOPNOTSUPP
}

// push makes one call for packets at the front and says what went out. An error
// is about the message of runs[0], and nothing went out.
func (s *socket) push(pkts []transport.TxPacket, segment bool) (sent run, errno unix.Errno) {
	t := &s.tx
	messages, iovecs := s.build(pkts, segment)
	taken := 0
	switch messages {
	case 0:
		// Not worth a call: the kernel would answer the same.
		p := &pkts[0]
		t.runs[0] = run{packets: 1}
		if len(p.Head)+len(p.Payload) > s.caps.MaxPayload {
			return run{}, unix.EMSGSIZE
		}
		return run{}, unix.EDESTADDRREQ
	case 1:
		if errno = sendmsg(s.fd, &t.msgs[0].Hdr); errno == 0 {
			taken = 1
		}
	default:
		taken, errno = sendmmsg(s.fd, t.msgs[:messages])
	}
	clear(t.iovs[:iovecs]) // keep no message alive
	for _, r := range t.runs[:taken] {
		sent.packets += r.packets
		sent.bytes += r.bytes
	}
	return sent, errno
}

// build makes messages of packets at the front, up to one that cannot be sent.
func (s *socket) build(pkts []transport.TxPacket, segment bool) (messages, iovecs int) {
	t := &s.tx
	t.joined = 0
	for len(pkts) > 0 && messages < txMessages {
		first := &pkts[0]
		size := len(first.Head) + len(first.Payload)
		dest := s.routes.Get(uint32(first.Route))
		if dest == nil || size > s.caps.MaxPayload {
			break
		}
		r := run{1, size}
		if segment {
			r = longestRun(pkts[:min(len(pkts), txSegments)])
		}
		if iovecs+2*r.packets > txIovecs {
			break
		}
		parts := t.gather(iovecs, pkts[:r.packets], r)

		h := &t.msgs[messages].Hdr
		h.Name = namePtr(dest)
		h.Namelen = dest.len()
		h.Iov = &t.iovs[iovecs]
		h.SetIovlen(parts)

		c := &t.control[messages]
		n := 0
		if t.marking.differs(first.ECN) {
			c[n].mark(dest, first.ECN)
			n++
		}
		if r.packets > 1 {
			c[n].segment(size)
			n++
		}
		h.Control = nil
		if n > 0 {
			h.Control = controlPtr(c)
		}
		h.SetControllen(n * unix.CmsgSpace(4))

		t.runs[messages] = r
		messages++
		iovecs += parts
		pkts = pkts[r.packets:]
	}
	return messages, iovecs
}

// longestRun says how many packets at the front can go as one message.
func longestRun(pkts []transport.TxPacket) run {
	first := &pkts[0]
	size := len(first.Head) + len(first.Payload)
	r := run{1, size}
	for i := 1; i < len(pkts); i++ {
		p := &pkts[i]
		n := len(p.Head) + len(p.Payload)
		if n > size || n == 0 || r.bytes+n > maxPayload4 || p.Route != first.Route || p.ECN != first.ECN {
			break
		}
		r.packets++
		r.bytes += n
		if n < size {
			break
		}
	}
	return r
}

// gather points iovecs, from the given one, at the parts of a run, and returns
// how many. Many small parts cost the kernel more than a copy costs here.
func (t *sender) gather(from int, pkts []transport.TxPacket, r run) (parts int) {
	if r.packets > 1 && r.bytes <= r.packets*joinLimit && r.bytes <= len(t.join)-t.joined {
		start := t.joined
		for i := range pkts {
			t.joined += copy(t.join[t.joined:], pkts[i].Head)
			t.joined += copy(t.join[t.joined:], pkts[i].Payload)
		}
		t.iovs[from].Base = &t.join[start]
		t.iovs[from].SetLen(t.joined - start)
		return 1
	}
	for i := range pkts {
		for _, part := range [2][]byte{pkts[i].Head, pkts[i].Payload} {
			if len(part) > 0 {
				iov := &t.iovs[from+parts]
				iov.Base = &part[0]
				iov.SetLen(len(part))
				parts++
			}
		}
	}
	return parts
}

func (c *cmsg) segment(size int) {
	c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(c.data[:], uint16(size))
}

func (c *cmsg) mark(dest *sockaddr, ecn transport.ECN) {
	c.Level, c.Type = unix.SOL_IP, unix.IP_TOS
	if !dest.isIPv4() {
		c.Level, c.Type = unix.SOL_IPV6, unix.IPV6_TCLASS
	}
	c.SetLen(unix.CmsgLen(4))
	binary.NativeEndian.PutUint32(c.data[:], uint32(ecn))
}

// marking knows which packets need a control message for their code point: those
// that differ from the socket's own. Control messages cost time, so the socket's
// own follows the traffic when it has differed often.
type marking struct {
	enabled bool
	own     transport.ECN
	strays  int // messages that differed
	last    transport.ECN
}

// strayLimit makes the cost of changing the socket negligible per message.
const strayLimit = 64

func (m *marking) differs(ecn transport.ECN) bool {
	if ecn == m.own || !m.enabled {
		return false
	}
	m.strays++
	m.last = ecn
	return true
}

// follow changes the socket's own code point when it is time. That is between
// calls only: messages built before rely on it.
func (m *marking) follow(s *socket) {
	if m.strays < strayLimit {
		return
	}
	m.strays = 0
	if s.set(option{unix.SOL_IP, unix.IP_TOS, int(m.last)}) == nil &&
		(!s.ipv6 || s.set(option{unix.SOL_IPV6, unix.IPV6_TCLASS, int(m.last)}) == nil) {
		m.own = m.last
	}
}
