package idle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSessionsAreOpenedUsedAndWeighed(t *testing.T) {
	server, err := serve()
	require.NoError(t, err)
	defer server.Close()
	client, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute}))
	require.NoError(t, err)
	defer client.Close()

	r, err := measure(t.Context(), client, server.Addr().String(), 200)
	require.NoError(t, err)
	require.Equal(t, 200, r.Sessions)
	// 200 sessions and the first made a call each, and the first asked twice.
	require.Eventually(t, func() bool { return server.Stats().RequestsHandled == 203 }, time.Minute, time.Millisecond)
}
