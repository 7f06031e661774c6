package pgrpc_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	"github.com/peregrine-rpc/peregrine/live"
	"github.com/peregrine-rpc/peregrine/metrics"
)

// look is what the page of an endpoint shows now.
func look(t *testing.T, e *peregrine.Endpoint) (s live.State) {
	t.Helper()
	shown := httptest.NewRecorder()
	request := httptest.NewRequest("GET", "http://127.0.0.1/state", nil)
	request.RemoteAddr = "127.0.0.1:1"
	live.New(live.Options{Source: metrics.Source{Endpoint: e}}).ServeHTTP(shown, request)
	require.NoError(t, json.Unmarshal(shown.Body.Bytes(), &s), shown.Body)
	return s
}

// What one asks channelz for is on the endpoints' page, at either side: who is connected,
// which methods are called, and how many calls failed, with which code.
func TestThePageOfAnEndpointStandsInForChannelz(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	w.unary = func(_ context.Context, in *text) (*text, error) {
		if in.Value == "fail" {
			return nil, status.Error(codes.NotFound, "none")
		}
		return in, nil
	}
	server := pgrpc.NewServer()
	w.register(server)
	endpoint, err := server.Listen("udp://127.0.0.1:0", patient, peregrine.WithMetrics())
	require.NoError(t, err)
	defer server.Stop()
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(patient, peregrine.WithMetrics()))
	require.NoError(t, err)
	defer conn.Close()
	for _, value := range []string{"x", "y", "fail"} {
		_ = conn.Invoke(within(t, time.Minute), unary, word(value), new(text))
	}
	for side, e := range map[string]*peregrine.Endpoint{"server": endpoint, "client": conn.Session().Endpoint()} {
		state := look(t, e)
		require.Len(t, state.Peers, 1)
		require.Equal(t, 1, state.Peers[0].Sessions)
		at := slices.IndexFunc(state.Methods, func(m live.Method) bool { return m.Total == 3 })
		require.GreaterOrEqual(t, at, 0, "%+v", state.Methods)
		require.Equal(t, side, state.Methods[at].Side)
		require.Equal(t, map[string]uint64{"NOT_FOUND": 1}, state.Methods[at].Failed)
		if side == "server" { // a client has the number that the server chose
			require.Equal(t, unary, state.Methods[at].Method)
		}
	}
}
