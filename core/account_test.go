package core

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet/psk"
)

// keyed takes all who have the same key as one client.
type keyed struct{ *psk.Security }

func (keyed) Account(peer any) string { return fmt.Sprint("key ", peer.(psk.Peer).Key) }

func withKeys(t *testing.T, first ...byte) keyed {
	keys := make([][psk.KeySize]byte, len(first))
	for i, b := range first {
		keys[i][0] = b
	}
	s, err := psk.New(keys, nil)
	require.NoError(t, err)
	return keyed{s}
}

func TestAClientHasOneShareHoweverManyConnectionsItHas(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{Requests: 90, Security: withKeys(t, 1, 2)})
	for range 5 {
		s := n.connect(n.add(Config{Security: withKeys(t, 1)}), server)
		for range 40 {
			n.submit(s, &Call{Method: later})
		}
	}
	n.until(func() bool { return server.Stats().RequestsHandled+server.Stats().RequestsRefused == 200 })
	greedy := len(*deferred)
	require.LessOrEqual(t, greedy, 80, "eight times what is left")
	require.GreaterOrEqual(t, greedy, 75)

	other := n.connect(n.add(Config{Security: withKeys(t, 2)}), server)
	for range 8 {
		n.submit(other, &Call{Method: later})
	}
	n.until(func() bool { return len(*deferred) == greedy+8 })
}

func TestAClientHasOneShareOfConnections(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{Peers: 9, Security: withKeys(t, 1, 2)})
	const crowd = 9
	for range crowd {
		s := n.connect(n.add(Config{Security: withKeys(t, 1)}), server)
		s.Submit(&Call{Method: echo, Done: func(*Call) {}})
	}
	n.until(func() bool { return server.Stats().Peers < crowd })
	other := n.connect(n.add(Config{Security: withKeys(t, 2)}), server)
	n.echoes(other, 10)
}
