package udp

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/transport"
)

// txBuffers is how many Heads can be lent at a time.
const txBuffers = 128

// sender gives messages to sendmmsg.
type sender struct {
	udpsock.Messages

	segment bool // the kernel cuts runs, as far as known
	full    bool // the last Send met a full socket buffer
	cut     bool // the last call took some messages and not all
	taken   uint64
}

func (t *sender) init(caps transport.Caps) {
	t.Init(caps)
	t.segment = caps.SegmentTx
}

// front is what one Send remembers of the packets at the front of its rest.
type front struct {
	// plain is how many are sent one by one because the kernel refused them as
	// a run; lasting, that it may be unable to take any.
	plain   int
	lasting bool
	// tries counts calls that failed for what became of earlier packets.
	tries int
}

// Send implements [transport.Transport].
func (s *socket) Send(pkts []transport.TxPacket) (taken int, err error) {
	if s.closed.Load() {
		return 0, errClosed
	}
	t := &s.tx
	t.full = false
	t.Marking.Follow(s.sock)
	var f front
	var sum udpsock.Run
	calls, cut := 0, false
	for taken < len(pkts) && !t.full && err == nil {
		rest := pkts[taken:]
		if f.plain > 0 {
			rest = rest[:f.plain]
		}
		sent, errno := s.push(rest, t.segment && f.plain == 0)
		calls++
		n := sent.Packets
		switch {
		case n > 0:
			if f.lasting {
				t.segment = false
			}
			f.lasting, f.tries = false, 0
			cut = cut || t.cut
		case errno == unix.EAGAIN:
			t.full = true
		case errno == unix.EBADF || errno == unix.ENOTSOCK:
			err = fmt.Errorf("udp: the socket is gone: %w", errno)
		case f.tries < maxTries && s.sock.DrainErrors() > 0:
			// ICMP about an earlier packet is reported once, by whichever call
			// comes next: this packet is not to blame.
			f.tries++
		default:
			n = s.refused(&f, &rest[0], errno)
		}
		s.heads.Take(rest[:n])
		f.plain = max(f.plain-n, 0)
		taken += n
		sum.Packets += sent.Packets
		sum.Bytes += sent.Bytes
	}
	if cut && !t.full {
		// The kernel keeps to itself why it took only some.
		s.sock.DrainErrors()
	}
	t.taken += uint64(taken)
	s.stats.TxPackets.Add(uint64(sum.Packets))
	s.stats.TxBytes.Add(uint64(sum.Bytes))
	s.stats.TxCalls.Add(uint64(calls))
	return taken, err
}

// refused decides on the message at the front that the kernel did not take, and
// returns how many packets to drop.
func (s *socket) refused(f *front, first *transport.TxPacket, errno unix.Errno) (drop int) {
	packets := s.tx.Runs[0].Packets
	switch {
	case packets > 1 && (errno == unix.EMSGSIZE || udpsock.LacksSegmentation(errno)):
		f.plain, f.lasting = packets, errno != unix.EMSGSIZE
		return 0
	case errno == unix.EMSGSIZE:
		s.stats.TxTooLarge.Add(1)
	default:
		s.stats.TxRefused.Add(uint64(packets))
		s.sock.Undeliverable(first, errno)
	}
	f.lasting, f.tries = false, 0
	return packets
}

// push makes one call for packets at the front and says what went out. An error
// is about the message of Runs[0], and nothing went out.
func (s *socket) push(pkts []transport.TxPacket, segment bool) (sent udpsock.Run, errno unix.Errno) {
	t := &s.tx
	messages, taken := t.Build(pkts, &s.sock.Routes, segment), 0
	switch messages {
	case 0:
		// Not worth a call: the kernel would answer the same.
		p := &pkts[0]
		t.Runs[0] = udpsock.Run{Packets: 1}
		if len(p.Head)+len(p.Payload) > s.sock.Caps.MaxPayload {
			return udpsock.Run{}, unix.EMSGSIZE
		}
		return udpsock.Run{}, unix.EDESTADDRREQ
	case 1:
		if errno = sendmsg(s.sock.FD, &t.Msgs[0].Hdr); errno == 0 {
			taken = 1
		}
	default:
		taken, errno = sendmmsg(s.sock.FD, t.Msgs[:messages])
	}
	t.Clear()
	t.cut = taken < messages
	for _, r := range t.Runs[:taken] {
		sent.Packets += r.Packets
		sent.Bytes += r.Bytes
	}
	return sent, errno
}
