package peregrine_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// Each loop has limits of its own, and whoever has a certificate its share of each: however many connections
// it makes, and whichever loops these fall to, there is room left at all.
func TestAClientHasItsShareOfEveryLoop(t *testing.T) {
	t.Parallel()
	const (
		loops, connections, sessions, calls = 3, 12, 10, 2

		mostSessions, mostRequests = 27, 36 // of each loop, of which one client has eight times what is left
		someSessions, someRequests = mostSessions * 8 / 9, mostRequests * 8 / 9
	)
	patient := peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})
	var mu sync.Mutex
	var held []peregrine.Request
	server := secureServer(t, peregrine.WithTLS(serverTLS()), peregrine.WithLoops(loops), peregrine.WithConfig(peregrine.Config{
		Sessions: mostSessions, Requests: mostRequests, KeepAlive: time.Minute, ConnectTimeout: time.Minute,
	}))
	require.NoError(t, server.Handle(2, func(r peregrine.Request) {
		mu.Lock()
		defer mu.Unlock()
		held = append(held, r.Defer())
	}))

	greedy := peregrine.WithTLS(clientTLS("greedy"))
	answers := make(chan error, connections*sessions*calls)
	for range connections {
		client, err := peregrine.Listen("udp://127.0.0.1:0", greedy, patient)
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		for range sessions {
			s, err := client.Dial(patiently(t), server.Addr().String())
			require.NoError(t, err)
			for range calls {
				go func() {
					_, err := s.Call(t.Context(), 2, nil, nil)
					answers <- err
				}()
			}
		}
	}
	refused := 0
	require.Eventually(t, func() bool {
		for ; len(answers) > 0; refused++ {
			require.Equal(t, peregrine.ResourceExhausted, peregrine.CodeOf(<-answers))
		}
		mu.Lock()
		defer mu.Unlock()
		return refused+len(held) == cap(answers)
	}, time.Minute, time.Millisecond)
	assert.LessOrEqual(t, len(held), loops*someRequests)
	assert.LessOrEqual(t, server.Stats().Sessions, loops*someSessions)
	assert.Greater(t, len(held), someRequests, "more than one loop has its connections")

	modest := peregrine.WithTLS(clientTLS("modest"))
	for range loops { // all of which may fall to one
		answer, err := dialSecure(t, server, modest, patient).Call(patiently(t), 1, nil, nil)
		require.NoError(t, err)
		assert.Equal(t, "modest", string(answer))
	}
	for _, r := range held {
		r.Reply(nil)
	}
}
