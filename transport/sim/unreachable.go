package sim

import (
	"syscall"

	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// quoted is how much of a datagram comes back with the word that it could not
	// be delivered (RFC 1812, section 4.3.2.3).
	quoted = 548
	// maxReports is how many of these a port keeps.
	maxReports = 16
)

var _ transport.UnreachableReporter = (*Port)(nil)

// answerUnreachable sends word back that nobody has a datagram's port open.
func (h *Host) answerUnreachable(p *Packet) {
	net := h.net
	word := net.newPacket(min(len(p.Data), quoted))
	net.lastID++
	word.ID, word.From, word.To, word.ECN, word.at = net.lastID, p.To, p.From, transport.NotECT, net.now
	word.Data = word.buf[:copy(word.buf[:min(len(p.Data), quoted)], p.Data)]
	word.Unreachable = syscall.ECONNREFUSED
	if word.to = net.hostAt(p.From.Addr()); word.to == nil || !h.reaches(word.to) {
		net.free(word)
		return
	}
	h.out.enter(word)
}

// hear takes in word about a datagram that this port sent.
func (p *Port) hear(word *Packet) {
	p.host.trace("unreachable", word)
	if len(p.reports) == maxReports {
		p.reports = p.reports[1:]
	}
	data := append([]byte(nil), word.Data...)
	p.reports = append(p.reports, transport.Unreachable{To: word.From, Err: word.Unreachable, Data: data})
	p.host.net.free(word)
	p.wake()
}

// NextUnreachable implements transport.UnreachableReporter. Hosts with
// [HostConfig.Unreachable] give occasion for it.
func (p *Port) NextUnreachable() (u transport.Unreachable, ok bool) {
	if len(p.reports) == 0 {
		return u, false
	}
	u = p.reports[0]
	p.reports = p.reports[1:]
	return u, true
}
