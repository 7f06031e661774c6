package conformance

import (
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// backwards returns what has arrived in the reverse order.
type backwards struct{ transport.Transport }

func (b backwards) Recv(pkts []transport.RxPacket) (int, error) {
	n, err := b.Transport.Recv(pkts)
	slices.Reverse(pkts[:n])
	return n, err
}

// stingy lends three buffers at a time and takes two packets, and has room again
// at once.
type stingy struct {
	transport.Transport
	full bool
}

func (s *stingy) Reserve(pkts []transport.TxPacket) int {
	return s.Transport.Reserve(pkts[:min(3, len(pkts))])
}

func (s *stingy) Send(pkts []transport.TxPacket) (int, error) {
	s.full = len(pkts) > 2
	return s.Transport.Send(pkts[:min(2, len(pkts))])
}

func (s *stingy) Wait(timeout time.Duration) error {
	if s.full {
		s.full, timeout = false, 0
	}
	return s.Transport.Wait(timeout)
}
