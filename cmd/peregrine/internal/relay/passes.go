package relay

import (
	"errors"

	"github.com/peregrine-rpc/peregrine/wire"
)

// kinds is a set of datagram types.
type kinds uint16

func kindsOf(types ...wire.Type) (k kinds) {
	for _, t := range types {
		k |= 1 << t
	}
	return k
}

// What each side sends (docs/wire.md, section 2.2).
var (
	clientsSend = kindsOf(wire.Data, wire.Ack, wire.Hello, wire.Reset, wire.Close, wire.PathResponse)
	serversSend = kindsOf(wire.Data, wire.Ack, wire.Retry, wire.Accept, wire.Refuse, wire.Reset, wire.Close, wire.PathChallenge)
	// Of these a server sends only to who is there, and has a connection.
	serversSendConnected = kindsOf(wire.Data, wire.Ack, wire.Accept)
)

func (k kinds) has(t wire.Type) bool { return k&(1<<t) != 0 }

// pass says whether a datagram is one of these, as far as its header tells. h is
// overwritten. Those by which two ends find that they speak different versions pass
// in every version.
func (k kinds) pass(h *wire.Header, datagram []byte) bool {
	_, err := h.Parse(datagram)
	if errors.Is(err, wire.ErrVersion) {
		return (h.Type == wire.Hello || h.Type == wire.Refuse) && k.has(h.Type) && len(datagram) >= wire.HeaderSize+wire.ChecksumSize
	}
	return err == nil && k.has(h.Type)
}
