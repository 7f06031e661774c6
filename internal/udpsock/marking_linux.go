package udpsock

import (
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Marking knows which messages need a control message for their code point: those
// that differ from the socket's own. Control messages cost time, so the socket's
// own follows the traffic when it has differed often.
type Marking struct {
	enabled bool
	own     transport.ECN
	strays  int // messages that differed
	last    transport.ECN
}

// strayLimit makes the cost of changing the socket negligible per message.
const strayLimit = 64

func (m *Marking) differs(ecn transport.ECN) bool {
	if ecn == m.own || !m.enabled {
		return false
	}
	m.strays++
	m.last = ecn
	return true
}

// Follow changes the socket's own code point when it is time. Call it while the
// kernel has all messages that were built before: they rely on the old one.
func (m *Marking) Follow(s *Socket) {
	if m.strays < strayLimit {
		return
	}
	m.strays = 0
	if s.set(option{unix.SOL_IP, unix.IP_TOS, int(m.last)}) == nil &&
		(!s.IPv6 || s.set(option{unix.SOL_IPV6, unix.IPV6_TCLASS, int(m.last)}) == nil) {
		m.own = m.last
	}
}
