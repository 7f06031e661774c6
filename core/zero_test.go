package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestZeroValuesFailClearly(t *testing.T) {
	t.Parallel()
	var s Session
	c := Call{Done: func(*Call) {}}
	s.Submit(&c)
	require.Equal(t, FailedPrecondition, CodeOf(c.Err))
	s.Cancel(&c)
	s.Ready(func(err error) { require.Equal(t, FailedPrecondition, CodeOf(err)) })
	s.Ping(func(_ time.Duration, err error) { require.Equal(t, FailedPrecondition, CodeOf(err)) })
	require.Equal(t, FailedPrecondition, CodeOf(s.Move(netip.AddrPort{})))
	require.Equal(t, Shutdown, s.State())
	require.Equal(t, netip.AddrPort{}, s.Peer())
	require.Equal(t, netip.AddrPort{}, s.LocalAddr())
	require.Zero(t, s.RTT())
	require.Zero(t, s.MTU())
	require.NoError(t, s.Close())

	var e Endpoint
	_, err := e.Connect(netip.MustParseAddrPort("127.0.0.1:1"))
	require.Equal(t, FailedPrecondition, CodeOf(err))
	_, err = e.Poll(0)
	require.Equal(t, FailedPrecondition, CodeOf(err))
	require.NoError(t, e.Close())
}
