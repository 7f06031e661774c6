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
// come back.
func (e *Endpoint) takeUnreachable(u *transport.Unreachable) {
	index, token, quoted := quotedConnection(u.Data)
	if p := e.dialed[u.To]; p != nil {
		switch {
		case p.state == peerConnecting && (len(u.Data) == 0 || quotesHello(u.Data, p)):
			p.refused(&Error{Code: Unavailable, Message: fmt.Sprintf("connect to %v: %v", p.addr, u.Err), Cause: u.Err})
			return
		case p.state == peerConnected && quoted && u.Refused() && index == p.remoteIndex && token == p.remoteToken:
			p.lost(fmt.Sprintf("nobody listens at %v any more: %v", p.addr, u.Err), u.Err)
			return
		}
	}
	if p := e.accepted[acceptKey{u.To, index, token}]; p != nil && quoted && u.Refused() {
		p.lost(fmt.Sprintf("client %v is gone: %v", p.addr, u.Err), u.Err)
	}
}

// quotedConnection is whom a datagram of which the beginning is left addressed.
func quotedConnection(data []byte) (index, token uint32, ok bool) {
	const end = 12
	if len(data) < end {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint32(data[8:]), true
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
