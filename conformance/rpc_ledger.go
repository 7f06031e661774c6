package conformance

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
)

// ledger keeps the books of what an engine has of its transport.
type ledger struct {
	transport.Transport
	taken    uint64 // packets, by Send
	reserved int    // heads, not sent yet
	received int    // packets, not released yet
}

// reserve is how many heads an engine and its decorators may keep for what they
// send next.
const reserve = 256

func (l *ledger) Reserve(pkts []transport.TxPacket) int {
	n := l.Transport.Reserve(pkts)
	l.reserved += n
	return n
}

func (l *ledger) Send(pkts []transport.TxPacket) (int, error) {
	n, err := l.Transport.Send(pkts)
	l.reserved -= n
	l.taken += uint64(n)
	return n, err
}

func (l *ledger) Recv(pkts []transport.RxPacket) (int, error) {
	n, err := l.Transport.Recv(pkts)
	l.received += n
	return n, err
}

func (l *ledger) Release(pkts []transport.RxPacket) {
	l.received -= len(pkts)
	l.Transport.Release(pkts)
}

// outstanding says what the owner or the transport has of the other, beyond
// what an idle engine may keep; "" if nothing.
func (l *ledger) outstanding() string {
	switch completed := l.Completed(); {
	case l.received != 0:
		return fmt.Sprintf("the engine has %d received packets that it did not release", l.received)
	case l.reserved > reserve:
		return fmt.Sprintf("the engine has %d heads reserved", l.reserved)
	case completed != l.taken:
		return fmt.Sprintf("the transport has completed %d packets of %d", completed, l.taken)
	}
	return ""
}
