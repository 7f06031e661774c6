package core

import (
	"net/netip"

	"github.com/peregrine-rpc/peregrine/wire"
)

// secret is what whoever reads along knows of a connection: the names that peer
// has to give it in what it sends to the endpoint at, and the number that comes next
// of the packets that it sent.
type secret struct {
	at, peer     netip.AddrPort
	index, token uint32
	next         uint32
}

// tap reads along, for tests that forge datagrams.
func (n *network) tap(from, to netip.AddrPort, data []byte) {
	var h wire.Header
	rest, err := h.Parse(data)
	if err != nil {
		return
	}
	var hello wire.HelloBody
	var accept wire.AcceptBody
	switch h.Type {
	case wire.Hello:
		if hello.Parse(rest, len(data)) == nil {
			n.named(secret{from, to, hello.Connection, hello.Token, 1})
		}
	case wire.Accept:
		if accept.Parse(rest) == nil {
			n.named(secret{from, to, accept.Connection, accept.Token, 1})
		}
	case wire.Data:
		for _, s := range n.secrets {
			if s.at == to && s.peer == from && s.index == h.Connection && s.token == h.Token && int32(h.Number-s.next) >= 0 {
				s.next = h.Number + 1
			}
		}
	}
}

// named notes the names that s.at gave a connection.
func (n *network) named(s secret) {
	for _, known := range n.secrets {
		if known.at == s.at && known.peer == s.peer && known.index == s.index {
			if known.token != s.token {
				*known = s
			}
			return
		}
	}
	n.secrets = append(n.secrets, &s)
}

// secretsOf are those of all connections of a node that anybody named, but a
// witness's.
func (n *network) secretsOf(d, witness *node) (all []*secret) {
	for _, s := range n.secrets {
		if s.at == d.addr && s.peer != witness.addr {
			all = append(all, s)
		}
	}
	return all
}

// secretOf is the last one of a node's connections with a peer.
func (n *network) secretOf(d, peer *node) *secret {
	var last *secret
	for _, s := range n.secrets {
		if s.at == d.addr && s.peer == peer.addr {
			last = s
		}
	}
	return last
}
