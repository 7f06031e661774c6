package packet

import (
	"encoding/binary"
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// heedUnreachable takes in what the transport has heard of datagrams that could
// not be delivered.
func (e *Endpoint) heedUnreachable() {
	e.heeded = e.now
	for !e.closed {
		u, ok := e.unreachable.NextUnreachable()
		if !ok {
			return
		}
		e.stats.RxUnreachable++
		e.heed(u)
	}
}

// heed takes in a report, or hands it on: hosts give it to any queue.
func (e *Endpoint) heed(u transport.Unreachable) {
	if !e.takeUnreachable(&u) && e.cfg.Misreported != nil && e.caps.Queues > 1 {
		e.cfg.Misreported(&u)
	}
}

// InjectUnreachable takes in word that another queue's endpoint has heard of a
// datagram that it did not send. The next Poll acts on it. u is not kept.
func (e *Endpoint) InjectUnreachable(u *transport.Unreachable) {
	if !e.closed {
		e.takeUnreachable(u)
	}
}

// takeUnreachable takes in a report, and says whether it is of this endpoint. It
// believes one about an attempt to connect, unless it quotes another: at worst it
// is tried again later. A connection is given up only if its secret is quoted,
// and the host says that nobody listens any more; networks come back. And only by
// the client: where a client has been a NAT may have forgotten it, and it may go
// on from elsewhere.
func (e *Endpoint) takeUnreachable(u *transport.Unreachable) bool {
	c := e.dialed[u.To]
	switch {
	case c == nil:
		return false
	case c.state == Connecting && (len(u.Data) == 0 || quotesHello(u.Data, c)):
		c.refused(&Failure{Code: codeUnavailable, Reason: fmt.Sprintf("connect to %v: %v", c.addr, u.Err), Cause: u.Err})
	case c.state == Connected && quotesConnection(u.Data, c):
		if u.Refused() {
			c.gone(fmt.Sprintf("nobody listens at %v any more: %v", c.addr, u.Err), u.Err)
		}
	default:
		return false
	}
	return true
}

// quotesConnection says whether data is the beginning of a datagram of the
// connection.
func quotesConnection(data []byte, c *Conn) bool {
	const index, token, end = 4, 8, 12 // in the header
	return len(data) >= end && binary.LittleEndian.Uint32(data[index:]) == c.remoteIndex &&
		binary.LittleEndian.Uint32(data[token:]) == c.remoteToken
}

// quotesHello says whether data is the beginning of c's Hello, as far as it goes.
func quotesHello(data []byte, c *Conn) bool {
	var hello [wire.HeaderSize + wire.ChecksumSize + wire.HelloSize]byte
	n := (&wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}).Put(hello[:])
	(&wire.HelloBody{Connection: c.index, Token: c.token}).Put(hello[n:])
	for i := range min(len(data), n+8) { // to the end of the token
		if data[i] != hello[i] && (i < wire.HeaderSize || i >= n) {
			return false
		}
	}
	return true
}
