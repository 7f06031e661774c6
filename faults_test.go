package peregrine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

func TestFaultsChangeInMidRun(t *testing.T) {
	t.Parallel()
	server := serve(t)
	s := connect(t, server, peregrine.WithFault(""))
	requireEcho(t, s)
	require.NoError(t, s.Endpoint().SetFaults("loss=1"))
	err := outcome(s, &peregrine.Call{Method: echo, Timeout: 50 * time.Millisecond})
	require.Equal(t, peregrine.DeadlineExceeded, peregrine.CodeOf(err), "a partition")
	require.NoError(t, s.Endpoint().SetFaults(""))
	requireEcho(t, s)

	require.Equal(t, []string{"loss"}, keysOfErrors(s.Endpoint().SetFaults("loss=2")))
	require.ErrorContains(t, server.SetFaults("loss=1"), "WithFault")
}
