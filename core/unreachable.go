package core

import (
	"encoding/binary"
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// heedUnreachable takes in what the transport has heard of datagrams that could
// not be delivered.
func (e *Endpoint) heedUnreachable() {
	for u, ok := e.unreachable.NextUnreachable(); ok && !e.closed; u, ok = e.unreachable.NextUnreachable() {
		e.stats.RxUnreachable++
		e.takeUnreachable(&u)
	}
}

// takeUnreachable believes a report about an attempt to connect, unless it quotes
// another: at worst it is tried again later. A connection is given up only if
// its secret is quoted, and the host says that nobody listens any more; networks
// come back. And only by the client: where a client has been a NAT may have
// forgotten it, and it may go on from elsewhere.
func (e *Endpoint) takeUnreachable(u *transport.Unreachable) {
	p := e.dialed[u.To]
	switch {
	case p == nil:
	case p.state == peerConnecting && (len(u.Data) == 0 || quotesHello(u.Data, p)):
		p.refused(&Error{Code: Unavailable, Message: fmt.Sprintf("connect to %v: %v", p.addr, u.Err), Cause: u.Err})
	case p.state == peerConnected && u.Refused() && quotesConnection(u.Data, p):
		p.lost(fmt.Sprintf("nobody listens at %v any more: %v", p.addr, u.Err), u.Err)
	}
}

// quotesConnection says whether data is the beginning of a datagram of the
// connection.
func quotesConnection(data []byte, p *peer) bool {
	const index, token, end = 4, 8, 12 // in the header
	return len(data) >= end && binary.LittleEndian.Uint32(data[index:]) == p.remoteIndex &&
		binary.LittleEndian.Uint32(data[token:]) == p.remoteToken
}

// quotesHello says whether data is the beginning of p's Hello, as far as it goes.
func quotesHello(data []byte, p *peer) bool {
	var hello [wire.HeaderSize + wire.ChecksumSize + wire.HelloSize]byte
	n := (&wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}).Put(hello[:])
	(&wire.HelloBody{Connection: p.index, Token: p.token}).Put(hello[n:])
	for i := range min(len(data), n+8) { // to the end of the token
		if data[i] != hello[i] && (i < wire.HeaderSize || i >= n) {
			return false
		}
	}
	return true
}
