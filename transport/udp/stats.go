package udp

import (
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/transport"
)

// counters are written once per batch, and read by anybody.
type counters struct {
	rxPackets, rxBytes, rxCalls, rxTruncated       atomic.Uint64
	txPackets, txBytes, txCalls, tooLarge, refused atomic.Uint64
}

func (c *counters) snapshot() transport.Stats {
	return transport.Stats{
		RxPackets:   c.rxPackets.Load(),
		RxBytes:     c.rxBytes.Load(),
		RxCalls:     c.rxCalls.Load(),
		RxTruncated: c.rxTruncated.Load(),
		TxPackets:   c.txPackets.Load(),
		TxBytes:     c.txBytes.Load(),
		TxCalls:     c.txCalls.Load(),
		TxTooLarge:  c.tooLarge.Load(),
		TxRefused:   c.refused.Load(),
	}
}
