package core

import (
	"net/netip"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// byHand is clients of a server whose datagrams a test writes. What the server
// answers goes nowhere.
type byHand struct {
	n      *network
	server *node
	host   *sim.Host
	cookie [wire.CookieSize]byte // of the last Retry
}

// byHand takes the network's drop.
func (n *network) byHand(server *node) *byHand {
	x := &byHand{n: n, server: server, host: n.plug()}
	n.drop = func(_, to netip.AddrPort, data []byte) bool {
		if to.Addr() == x.host.Addr() && typeOf(data) == wire.Retry {
			copy(x.cookie[:], data[wire.HeaderSize+wire.ChecksumSize:])
		}
		return to.Addr() == x.host.Addr()
	}
	return x
}

// take has the server receive a datagram of the client at a port.
func (x *byHand) take(port uint16, data []byte) {
	x.server.port.Deliver(netip.AddrPortFrom(x.host.Addr(), port), data, transport.NotECT)
	x.n.react()
}

// join connects the client at a port, and returns what the server has of it.
func (x *byHand) join(port uint16) (*packet.Conn, *secret) {
	hello := wire.HelloBody{Connection: 1, Token: 3, Params: wire.Params{
		MaxDatagram: 8972, Credits: 256, Slots: 256, Sessions: 1<<16 - 1, AckDelay: 500, MaxMessage: 16 << 20, KeepAlive: 3000,
	}}
	x.take(port, helloDatagram(&hello))
	hello.Cookie = x.cookie
	x.take(port, helloDatagram(&hello))
	for c := range x.server.packets.Conns() {
		if c.Addr().Addr() == x.host.Addr() && c.Addr().Port() == port {
			i := slices.IndexFunc(x.n.secrets, func(s *secret) bool { return s.at == x.server.addr && s.peer == c.Addr() })
			return c, x.n.secrets[i]
		}
	}
	require.Fail(x.n.t, "the server took no client")
	return nil, nil
}

func helloDatagram(hello *wire.HelloBody) []byte {
	data := make([]byte, wire.MinHello)
	n := (&wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}).Put(data)
	hello.Put(data[n:])
	wire.Seal(data, nil)
	return data
}
