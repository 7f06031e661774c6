package relay

import (
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Stats count since the relay began.
type Stats struct {
	// ToServer and ToClients are the datagrams that were passed on, and their bytes.
	ToServer       uint64 `json:"to_server"`
	ToServerBytes  uint64 `json:"to_server_bytes"`
	ToClients      uint64 `json:"to_clients"`
	ToClientsBytes uint64 `json:"to_clients_bytes"`
	// WithoutCopy of them were sent from where they were received, and Copied once,
	// from the memory of one transport into that of the other.
	WithoutCopy uint64 `json:"without_copy"`
	Copied      uint64 `json:"copied"`

	// Each dropped datagram is counted in one of these.
	Foreign   uint64 `json:"foreign"`   // nothing that an endpoint of ours sends to that side
	TooLarge  uint64 `json:"too_large"` // more than the other side's MTU allows
	Overflow  uint64 `json:"overflow"`  // no room to send it
	Strangers uint64 `json:"strangers"` // not from the server, or to a port of no flow
	NoFlow    uint64 `json:"no_flow"`   // of a client that got no flow

	FlowsOpened uint64 `json:"flows_opened"`
	FlowsOpen   uint64 `json:"flows_open"` // now
	// FlowsRefused counts attempts: there were too many flows, or there was no way out.
	FlowsRefused uint64 `json:"flows_refused"`
	// Refusal is why there was no way out, at the last such attempt.
	Refusal string `json:"refusal,omitempty"`
	// Unreachable is how often a host or router said that a datagram could not be
	// delivered.
	Unreachable uint64 `json:"unreachable"`

	// Inside is the clients' side. Outside is the servers', where one transport has
	// all flows.
	Inside  transport.Stats  `json:"inside"`
	Outside *transport.Stats `json:"outside,omitempty"`
}

// counters are written by the relay, once a burst, and read by anybody.
type counters struct {
	passed, bytes                                  [2]atomic.Uint64 // by direction
	withoutCopy, copied                            atomic.Uint64
	foreign, tooLarge, overflow, strangers, noFlow atomic.Uint64
	opened, open, refused, unreachable             atomic.Uint64
	refusal                                        atomic.Pointer[string]
}

// The directions.
const toServer, toClients = 0, 1

// Stats returns the counters so far. Any goroutine may call it.
func (r *Relay) Stats() Stats {
	c := &r.stats
	s := Stats{
		ToServer: c.passed[toServer].Load(), ToServerBytes: c.bytes[toServer].Load(),
		ToClients: c.passed[toClients].Load(), ToClientsBytes: c.bytes[toClients].Load(),
		WithoutCopy: c.withoutCopy.Load(), Copied: c.copied.Load(),
		Foreign: c.foreign.Load(), TooLarge: c.tooLarge.Load(), Overflow: c.overflow.Load(),
		Strangers: c.strangers.Load(), NoFlow: c.noFlow.Load(),
		FlowsOpened: c.opened.Load(), FlowsOpen: c.open.Load(), FlowsRefused: c.refused.Load(),
		Unreachable: c.unreachable.Load(), Inside: r.inside.tr.Stats(),
	}
	if why := c.refusal.Load(); why != nil {
		s.Refusal = *why
	}
	if r.outside != nil {
		outside := r.outside.tr.Stats()
		s.Outside = &outside
	}
	return s
}
