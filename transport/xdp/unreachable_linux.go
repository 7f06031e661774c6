package xdp

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/transport"
)

// ICMP goes to the kernel, which tells the socket that holds our port what of it
// is about datagrams from there.

const (
	// maxReports is how many reports are kept, the newest.
	maxReports = 16
	// quoted is how much is kept of a datagram that came back.
	quoted = 256
)

// report is of one datagram that could not be delivered.
type report struct {
	to   netip.AddrPort
	err  error
	data [quoted]byte
	size int
}

// news are reports for all queues of a port, each of which looks at each.
type news struct {
	count   atomic.Uint64 // reports ever
	mu      sync.Mutex
	reports [maxReports]report
}

func (n *news) add(u transport.Unreachable) {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := n.count.Load()
	r := &n.reports[count%maxReports]
	r.to, r.err, r.size = u.To, u.Err, copy(r.data[:], u.Data)
	n.count.Store(count + 1)
}

// next copies the first report that is kept of those after number, and returns its
// own.
func (n *news) next(number uint64, to *report) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if count := n.count.Load(); count > number+maxReports {
		number = count - maxReports
	}
	*to = n.reports[number%maxReports]
	return number + 1
}

// takeReports reads what the kernel tells of our datagrams.
func (p *port) takeReports() {
	before := p.news.count.Load()
	p.hear(p.claim)
	p.lines.Lock()
	for _, d := range p.lines.open {
		p.hear(d.claim)
	}
	p.lines.Unlock()
	if p.news.count.Load() != before {
		p.wake()
	}
}

func (p *port) hear(s *udpsock.Socket) {
	for s.DrainErrors(); ; {
		u, ok := s.NextUnreachable()
		if !ok {
			return
		}
		p.news.add(u)
	}
}

// NextUnreachable implements [transport.UnreachableReporter]. All queues of an
// interface hear of everything.
func (q *queue) NextUnreachable() (transport.Unreachable, bool) {
	if !q.hears() {
		return transport.Unreachable{}, false
	}
	r := &q.quoted
	q.heard = q.port.news.next(q.heard, r)
	return transport.Unreachable{To: r.to, Err: r.err, Data: r.data[:r.size]}, true
}

// hears tells whether there are reports to look at.
func (q *queue) hears() bool { return q.heard != q.port.news.count.Load() }
