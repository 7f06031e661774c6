package udpsock

import (
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Counters are written once per batch, and read by anybody.
type Counters struct {
	RxPackets, RxBytes, RxCalls, RxTruncated           atomic.Uint64
	TxPackets, TxBytes, TxCalls, TxTooLarge, TxRefused atomic.Uint64
}

// Snapshot returns what they count now.
func (c *Counters) Snapshot() transport.Stats {
	return transport.Stats{
		RxPackets:   c.RxPackets.Load(),
		RxBytes:     c.RxBytes.Load(),
		RxCalls:     c.RxCalls.Load(),
		RxTruncated: c.RxTruncated.Load(),
		TxPackets:   c.TxPackets.Load(),
		TxBytes:     c.TxBytes.Load(),
		TxCalls:     c.TxCalls.Load(),
		TxTooLarge:  c.TxTooLarge.Load(),
		TxRefused:   c.TxRefused.Load(),
	}
}
