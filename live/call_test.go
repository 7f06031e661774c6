package live_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/live"
	"github.com/peregrine-rpc/peregrine/metrics"
)

// Without HTTP the endpoint answers itself: who is of this host, or has the token.
func TestTheEndpointTellsWhoMayKnow(t *testing.T) {
	t.Parallel()
	const token = "sixteen or more bytes"
	patient := peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})
	for _, tc := range []struct {
		name, token, from, shows string
		told                     bool
	}{
		{"this host", "", "127.0.0.1", "", true},
		{"another host", "", "10.0.0.9", "", false},
		{"this host without the token", token, "127.0.0.1", "", false},
		{"another host with the token", token, "10.0.0.9", token, true},
		{"another host with a wrong token", token, "10.0.0.9", token + ".", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server, err := peregrine.Listen("mem://", patient, peregrine.WithMetrics())
			require.NoError(t, err)
			defer server.Close()
			require.NoError(t, live.New(live.Options{Source: metrics.Source{Endpoint: server}, Token: tc.token}).Register())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s, err := peregrine.Dial(ctx, server.Addr().String(), patient, peregrine.WithTransport("mem://"+tc.from+":0"))
			require.NoError(t, err)
			defer s.Close()
			text, err := s.Method(live.StateMethod).Call(ctx, []byte(tc.shows), nil)
			if !tc.told {
				require.Equal(t, peregrine.Unauthenticated, peregrine.CodeOf(err))
				return
			}
			require.NoError(t, err)
			var state live.State
			require.NoError(t, json.Unmarshal(text, &state))
			require.Equal(t, server.Addr().String(), state.Address)
		})
	}
}
