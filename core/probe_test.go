package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

// shy is a controller whose window falls to one datagram with the first timeout.
type shy struct{ dictate }

func (s *shy) TimedOut(time.Duration) { s.window = 1 }

func TestAProbeGoesWhateverTheWindow(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 5)
	server := n.echoServer(Config{})
	server.Handle(later, func(r *Request) { r.Reply(nil) })
	controller := &shy{dictate{window: 64 << 10}}
	client := n.add(Config{Controller: func(cc.Path) cc.Controller { return controller }})
	s := n.connect(client, server)
	n.run(10 * time.Millisecond) // the MTU is found
	passed := 0
	n.drop = func(from, _ netip.AddrPort, _ []byte) bool {
		if from == client.addr {
			passed++
		}
		return passed > 8 && controller.window > 1 // until the first timeout
	}
	done := n.submit(s, &Call{Method: later, Request: pattern(1<<20, 1)})
	n.run(time.Second)
	require.Equal(t, 1, *done)
}
