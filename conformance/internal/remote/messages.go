package remote

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// None is no argument and no reply.
type None struct{}

// The others are what the methods of a Far take and return. ID tells transports
// apart. They are exported for net/rpc.
type (
	Opened struct {
		ID    int
		Local netip.AddrPort
		Caps  transport.Caps
		Err   Failure
	}
	Address struct {
		ID     int
		Addr   netip.AddrPort
		Source netip.Addr
	}
	Resolved struct {
		Route transport.Route
		Err   Failure
	}
	Route struct {
		ID    int
		Route transport.Route
	}
	Amount   struct{ ID, N int }
	Outgoing struct {
		Number        uint64 // of the head
		Route         transport.Route
		ECN           transport.ECN
		Head, Payload []byte
	}
	Batch struct {
		ID      int
		Packets []Outgoing
	}
	Taken struct {
		N   int
		Err Failure
	}
	Received struct {
		Packets []transport.RxPacket
		Err     Failure
	}
	Views struct {
		ID      int
		Handles []uint64
	}
	Timeout struct {
		ID      int
		Timeout time.Duration
	}
)

// Failure is an error on its way.
type Failure struct {
	Text   string // empty: none
	Closed bool   // it is ErrClosed
}

func failureOf(err error) Failure {
	if err == nil {
		return Failure{}
	}
	return Failure{err.Error(), errors.Is(err, transport.ErrClosed)}
}

func (f Failure) error() error {
	switch {
	case f.Closed:
		return fmt.Errorf("%w (the other process: %s)", transport.ErrClosed, f.Text)
	case f.Text != "":
		return errors.New("the other process: " + f.Text)
	}
	return nil
}
