package conformance

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// TestRPCDoesNotBlameAnUnusualBackend runs in a copy, beside the broken ones,
// unless it is to be replayed.
func TestRPCDoesNotBlameAnUnusualBackend(t *testing.T) {
	if os.Getenv(backendVariable) != "" || *rpcSeed != 0 {
		RPC(t, wrapped(func(tr transport.Transport) transport.Transport {
			return transport.NewFault(&stingy{Transport: tr}, transport.Faults{Reorder: 0.01, Seed: 1})
		}))
		return
	}
	t.Parallel()
	out, err := inCopy(t, "unusual", "^"+t.Name()+"$")
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: "+t.Name()+"/")
}

// rpcBreakages are caught by calls that go wrong.
var rpcBreakages = map[string]breakage{
	"datagrams that arrive damaged": {
		func(tr transport.Transport) transport.Transport {
			received := 0
			return altered{Transport: tr, recv: func(p *transport.RxPacket) {
				if received++; received%100 == 0 {
					p.Data[len(p.Data)-1]++
				}
			}}
		}, "EveryCallIsAnswered", "changed|not the service's", ample},
	"completion before the payload is read": {
		func(tr transport.Transport) transport.Transport { return &tardy{Transport: tr} },
		"EveryCallIsAnswered", "changed|not the service's", ample},
	"no packet completes": {
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, incomplete: true} },
		"LongMessagesArrive", "a call did not complete", brief},
	"fewer bytes than MaxPayload": {
		func(tr transport.Transport) transport.Transport { return narrow{tr} },
		"MessagesAroundTheEdgesOfDatagramsArrive", `all of Caps\(\).MaxPayload`, brief},
	"a Wait that spins": {
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, spin: true} },
		"TheEngineGoesQuietWhenWorkEnds", "came to rest", brief},
	"an address that stays taken": {
		func(tr transport.Transport) transport.Transport { return &halfClosed{Transport: tr} },
		"AServerThatDiesAndReturnsIsReachedAgain", "far side at .* is taken", ample},
}

func TestABrokenBackendFailsRPC(t *testing.T) {
	t.Parallel()
	for name, b := range rpcBreakages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.isCaught(t, name, "TestRPCBreakage")
		})
	}
}

// TestRPCBreakage is the story's side of TestABrokenBackendFailsRPC.
func TestRPCBreakage(t *testing.T) {
	if b, ok := rpcBreakages[os.Getenv(backendVariable)]; ok {
		patience = b.patience
		RPC(t, wrapped(b.wrap))
	}
}

// tardy sends what it took, and claims to have completed, a turn later.
type tardy struct {
	transport.Transport
	taken []transport.TxPacket
}

func (l *tardy) Send(pkts []transport.TxPacket) (int, error) {
	l.taken = append(l.taken, pkts...)
	for i := range pkts {
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
	l.Wake()
	return len(pkts), nil
}

func (l *tardy) Completed() uint64 { return l.Transport.Completed() + uint64(len(l.taken)) }

func (l *tardy) Recv(pkts []transport.RxPacket) (int, error) {
	if err := l.send(); err != nil {
		return 0, err
	}
	return l.Transport.Recv(pkts)
}

func (l *tardy) Forget(r transport.Route) {
	_ = l.send() // Recv reports it
	l.Transport.Forget(r)
}

func (l *tardy) send() error {
	_, err := l.Transport.Send(l.taken)
	l.taken = l.taken[:0]
	return err
}

// narrow loses what is longer than half of what it says that it carries.
type narrow struct{ transport.Transport }

func (n narrow) Send(pkts []transport.TxPacket) (int, error) {
	for i := range pkts {
		if p := &pkts[i]; len(p.Head)+len(p.Payload) > n.Caps().MaxPayload/2 {
			p.Head, p.Payload = p.Head[:1], nil
		}
	}
	return n.Transport.Send(pkts)
}
