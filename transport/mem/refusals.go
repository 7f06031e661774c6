package mem

import (
	"net/netip"
	"syscall"

	"github.com/peregrine-rpc/peregrine/transport"
)

// refusals are reports of datagrams to where nobody listens, the oldest in front.
// They are the sender's own.
type refusals struct {
	kept         []refusal // of length maxRefusals once there was one
	first, count int
	given        refusal // the last that was returned
}

const (
	// maxRefusals is how many are kept until somebody asks.
	maxRefusals = 16
	// quoted is how much of a datagram a report quotes.
	quoted = 128
)

type refusal struct {
	to   netip.AddrPort
	data [quoted]byte
	size int
}

// add keeps a report of head and payload, if need be in the place of the oldest.
func (r *refusals) add(to netip.AddrPort, head, payload []byte) {
	if r.kept == nil {
		r.kept = make([]refusal, maxRefusals)
	}
	if r.count == maxRefusals {
		r.first, r.count = (r.first+1)%maxRefusals, r.count-1
	}
	k := &r.kept[(r.first+r.count)%maxRefusals]
	k.to, k.size = to, copy(k.data[:], head)
	k.size += copy(k.data[k.size:], payload)
	r.count++
}

func (r *refusals) next() (u transport.Unreachable, ok bool) {
	if r.count == 0 {
		return u, false
	}
	r.given = r.kept[r.first]
	r.first, r.count = (r.first+1)%maxRefusals, r.count-1
	return transport.Unreachable{To: r.given.to, Err: syscall.ECONNREFUSED, Data: r.given.data[:r.given.size]}, true
}
