//go:build dpdk

package dpdk

import "github.com/peregrine-rpc/peregrine/transport"

// NextUnreachable implements [transport.UnreachableReporter]. ICMP arrives at any
// queue of a port, and all of them hear of it.
func (q *queue) NextUnreachable() (transport.Unreachable, bool) {
	for q.hears() {
		u, number, ok := q.port.stack.Unreachable(q.heard, q.quoted[:])
		q.heard = number
		if ok && q.isOurs(u.From.Port()) {
			return transport.Unreachable{To: u.To, Err: u.Err, Data: u.Data}, true
		}
	}
	return transport.Unreachable{}, false
}

// hears tells whether there are reports to look at.
func (q *queue) hears() bool { return q.heard != q.port.stack.Heard() }
