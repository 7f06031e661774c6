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
	entrusted, copied                              atomic.Uint64
	foreign, tooLarge, overflow, strangers, noFlow atomic.Uint64
	opened, open, refused, unreachable             atomic.Uint64
	refusal                                        atomic.Pointer[string]
}

// The directions.
const toServer, toClients = 0, 1

// Stats returns the counters so far. Any goroutine may call it. While datagrams pass,
// those of a moment may be in one counter already and not yet in another.
func (r *Relay) Stats() Stats {
	c := &r.stats
	s := Stats{Inside: r.inside.tr.Stats()}
	s.WithoutCopy = s.Inside.TxForwarded
	lost := dropped(&s.Inside)
	if r.outside != nil {
		outside := r.outside.tr.Stats()
		s.Outside = &outside
		s.WithoutCopy += outside.TxForwarded
		lost += dropped(&outside)
	}
	// A transport copies what it cannot send as it lies.
	entrusted := c.entrusted.Load()
	s.Copied = c.copied.Load() + entrusted - min(entrusted, s.WithoutCopy+lost)

	s.ToServer, s.ToServerBytes = c.passed[toServer].Load(), c.bytes[toServer].Load()
	s.ToClients, s.ToClientsBytes = c.passed[toClients].Load(), c.bytes[toClients].Load()
	s.Foreign, s.TooLarge, s.Overflow = c.foreign.Load(), c.tooLarge.Load(), c.overflow.Load()
	s.Strangers, s.NoFlow, s.Unreachable = c.strangers.Load(), c.noFlow.Load(), c.unreachable.Load()
	s.FlowsOpened, s.FlowsOpen, s.FlowsRefused = c.opened.Load(), c.open.Load(), c.refused.Load()
	if why := c.refusal.Load(); why != nil {
		s.Refusal = *why
	}
	return s
}

// dropped is how many datagrams a transport took and did not send.
func dropped(s *transport.Stats) uint64 { return s.TxTooLarge + s.TxRefused + s.TxUnresolved }
