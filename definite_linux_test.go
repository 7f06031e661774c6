package peregrine_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/transport"
)

// forever is how long attempts to connect may take: none of these tests lasts
// until then, since the answer is definite.
var forever = peregrine.WithConfig(peregrine.Config{ConnectTimeout: time.Hour})

// vacant is an address of this host where nobody listens.
func vacant(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer c.Close()
	return c.LocalAddr().String()
}

func TestDialFailsAsSoonAsTheHostRefuses(t *testing.T) {
	t.Parallel()
	for url, addr := range map[string]string{"udp://127.0.0.1:0": vacant(t), "mem://": "100.100.100.100:1"} {
		_, err := peregrine.Dial(within(t, time.Minute), addr, peregrine.WithTransport(url), forever)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err))
	}
}

func TestDialFailsOnceAllAddressesHave(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(vacant(t))
	require.NoError(t, err)
	_, err = peregrine.Dial(within(t, time.Minute), net.JoinHostPort("service.example", port), is("127.0.0.1", "127.0.0.2", "127.0.0.3"), forever)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
		require.ErrorContains(t, err, net.JoinHostPort(host, port)+": ")
	}
}

func TestCallsFailAtOnceWhereNobodyListensAnyMore(t *testing.T) {
	t.Parallel()
	server, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	s := connect(t, server, forever)
	require.NoError(t, server.Close())
	require.True(t, s.WaitForStateChange(within(t, time.Minute), peregrine.Ready))
	_, err = s.Call(within(t, time.Minute), echo, nil, nil)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err))
	_, err = s.Call(within(t, time.Minute), echo, nil, nil)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "it is known")
}

// The system gives word of a dead port to the socket that an answer would have
// gone to, which may be another loop's than the one that sent.
func TestWordOfADeadPortFindsTheLoopThatSent(t *testing.T) {
	t.Parallel()
	server, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	client, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithLoops(4), forever)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	sessions := make([]*peregrine.Session, 4)
	for i := range sessions {
		sessions[i], err = client.Dial(within(t, time.Minute), server.Addr().String())
		require.NoError(t, err)
	}
	require.NoError(t, server.Close())
	for _, s := range sessions {
		require.True(t, s.WaitForStateChange(within(t, time.Minute), peregrine.Ready))
		_, err = s.Call(within(t, time.Minute), echo, nil, nil)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
}

func TestDialSaysThatThereIsNoRoute(t *testing.T) {
	t.Parallel()
	alone, err := netns.New()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { require.NoError(t, alone.Close()) })
	inside := peregrine.WithTransports(func(int, int) (tr transport.Transport, err error) {
		err = alone.Do(func() error {
			tr, err = transport.Open("udp://0.0.0.0:0")
			return err
		})
		return tr, err
	})
	_, err = peregrine.Dial(within(t, time.Minute), "10.30.0.1:9", inside, forever)
	require.ErrorIs(t, err, syscall.ENETUNREACH)
	require.ErrorContains(t, err, "10.30.0.1:9")
}
