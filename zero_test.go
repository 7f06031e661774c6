package peregrine_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

func TestZeroValuesFailClearly(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	unopened := func(err error) {
		t.Helper()
		require.Equal(t, peregrine.FailedPrecondition, peregrine.CodeOf(err))
		require.ErrorContains(t, err, "Dial")
	}
	var s peregrine.Session
	_, err := s.Call(ctx, 1, nil, nil)
	unopened(err)
	_, err = s.Ping(ctx)
	unopened(err)
	for _, start := range []func(*peregrine.Call){s.Go, s.Submit} {
		done := make(chan error)
		c := &peregrine.Call{Done: func(c *peregrine.Call) { done <- c.Err }}
		start(c)
		unopened(<-done)
		s.Cancel(c)
	}
	require.False(t, s.Loop(func() {}))
	require.Equal(t, peregrine.Shutdown, s.State())
	require.False(t, s.WaitForStateChange(ctx, peregrine.Shutdown))
	require.True(t, s.WaitForStateChange(ctx, peregrine.Idle))
	s.Notify(nil)
	require.Equal(t, netip.AddrPort{}, s.Peer())
	require.Equal(t, netip.AddrPort{}, s.LocalAddr())
	require.Zero(t, s.RTT())
	require.Zero(t, s.MTU())
	require.NoError(t, s.Close())

	var e peregrine.Endpoint
	_, err = e.Dial(ctx, "127.0.0.1:1")
	unopened(err)
	unopened(e.SetFaults(""))
	require.Equal(t, netip.AddrPort{}, e.Addr())
	require.Zero(t, e.Caps())
	require.Zero(t, e.Stats())
	require.NoError(t, e.Shutdown(ctx))
	require.NoError(t, e.Close())

	var f peregrine.File
	_, err = f.Listen()
	require.ErrorContains(t, err, "transport")
}
