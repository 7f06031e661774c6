package packet

import (
	"fmt"
	"net/netip"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Whoever sends back what it is sent, as an echo service does, must not be taken
// for a server: an endpoint would connect to itself.

// own says whether rx comes from this endpoint's own address: it dials itself,
// which it may.
func (e *Endpoint) own(rx *transport.RxPacket) bool {
	at := e.tr.LocalAddr()
	if rx.From.Port() != at.Port() {
		return false
	}
	switch from := rx.From.Addr(); {
	case rx.To.IsValid():
		return from == rx.To
	default:
		return from == at.Addr() || at.Addr().IsUnspecified()
	}
}

// reflected ends an attempt whose Hello came back.
func (c *Conn) reflected() {
	c.e.stats.RxReflected++
	if c.state == Connecting {
		c.refused(&Failure{
			Code:   codeUnavailable,
			Reason: fmt.Sprintf("%v sends back what it is sent: it is an echo service, not a Peregrine server", c.addr),
		})
	}
}

// echoed says whether a datagram is addressed to the one who sent it: it is one
// of ours that came back.
func (e *Endpoint) echoed(h *wire.Header, from netip.AddrPort) bool {
	if c := e.dialed[from]; c != nil && c.state == Connected && c.remoteIndex == h.Connection && c.remoteToken == h.Token {
		return true
	}
	return e.accepted[acceptKey{from, h.Connection, h.Token}] != nil
}
