package peregrine_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// names answers lookups as a test says.
type names func(host string) ([]netip.Addr, error)

func (n names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return n(host)
}

func is(addrs ...string) peregrine.Option {
	return peregrine.WithResolver(names(func(string) (found []netip.Addr, err error) {
		for _, a := range addrs {
			found = append(found, netip.MustParseAddr(a))
		}
		return found, nil
	}))
}

// listenOn opens an echo server, or skips where the host lacks the address.
func listenOn(t *testing.T, url string) *peregrine.Endpoint {
	t.Helper()
	e, err := peregrine.Listen(url, peregrine.WithHandler(echo, func(r peregrine.Request) { r.Reply(r.Data()) }))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// at is the same port of another host.
func at(host string, addr netip.AddrPort) string {
	return net.JoinHostPort(host, strconv.Itoa(int(addr.Port())))
}

func requireEcho(t *testing.T, s *peregrine.Session) {
	t.Helper()
	reply, err := s.Call(within(t, 30*time.Second), echo, []byte("hello"), nil)
	require.NoError(t, err)
	require.Equal(t, "hello", string(reply))
}

// mute is a host that never answers; knocked is closed when it was asked.
func mute(t *testing.T, addr string) (at netip.AddrPort, knocked chan struct{}) {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	require.NoError(t, err)
	knocked = make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			close(knocked)
		}
	})
	t.Cleanup(func() {
		c.Close()
		reader.Wait()
	})
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), knocked
}

func TestEveryAddressOfANameIsTried(t *testing.T) {
	t.Parallel()
	server := listenOn(t, "udp://127.0.0.1:0")
	mute(t, at("127.0.0.9", server.Addr()))
	s, err := peregrine.Dial(within(t, 30*time.Second), at("service.example", server.Addr()), is("127.0.0.9", "fe80::1%nowhere", "127.0.0.1"))
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, server.Addr(), s.Peer())
	requireEcho(t, s)
}

func TestAddressesOfAnotherFamilyThanTheTransportsArePassedOver(t *testing.T) {
	t.Parallel()
	server := listenOn(t, "udp://127.0.0.1:0")
	s, err := peregrine.Dial(within(t, 30*time.Second), at("service.example", server.Addr()), is("2001:db8::1", "127.0.0.1"),
		peregrine.WithTransport("udp://127.0.0.1:0"))
	require.NoError(t, err)
	defer s.Close()
	requireEcho(t, s)
}

func TestLocalhostIsTheLoopbackOfEitherFamily(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"udp://127.0.0.1:0", "udp://[::1]:0"} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			server := listenOn(t, url)
			for _, host := range []string{"localhost", "LOCALHOST.", ""} {
				s, err := peregrine.Dial(within(t, 30*time.Second), at(host, server.Addr()))
				require.NoError(t, err)
				requireEcho(t, s)
				require.NoError(t, s.Close())
			}
		})
	}
}

func TestAWildcardsAddrCanBeDialled(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"udp://0.0.0.0:0", "udp://[::]:0"} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			server := listenOn(t, url)
			s, err := peregrine.Dial(within(t, 30*time.Second), server.Addr().String())
			require.NoError(t, err)
			defer s.Close()
			requireEcho(t, s)
			own, err := server.Dial(within(t, 30*time.Second), server.Addr().String())
			require.NoError(t, err)
			requireEcho(t, own)
		})
	}
}

func TestDialSaysWhatBecameOfEachAddress(t *testing.T) {
	t.Parallel()
	silent, _ := mute(t, "127.0.0.1:0")
	short := peregrine.WithConfig(peregrine.Config{ConnectTimeout: 50 * time.Millisecond})
	service := at("service.example", silent)
	_, err := peregrine.Dial(within(t, 30*time.Second), service, short,
		is("127.0.0.1", "2001:db8::1"), peregrine.WithTransport("udp://127.0.0.1:0"))
	require.ErrorContains(t, err, "dial "+service+": "+silent.String()+": ")
	require.ErrorContains(t, err, at("2001:db8::1", silent)+": ")
	require.ErrorIs(t, err, &peregrine.Error{Code: peregrine.Unavailable})

	ended, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("changed my mind")
	cancel(reason)
	_, err = peregrine.Dial(ended, silent.String())
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, reason)

	quiet, knocked := mute(t, "127.0.0.1:0")
	patient, cancelLater := context.WithCancel(context.Background())
	go func() {
		<-knocked
		cancelLater()
	}()
	_, err = peregrine.Dial(patient, at("service.example", quiet), is("127.0.0.1"))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, quiet.String()+": no answer yet")

	unknown := errors.New("no such host")
	_, err = peregrine.Dial(within(t, 30*time.Second), service, peregrine.WithResolver(names(func(string) ([]netip.Addr, error) { return nil, unknown })))
	require.ErrorIs(t, err, unknown)
	_, err = peregrine.Dial(within(t, 30*time.Second), service, is())
	require.ErrorContains(t, err, "has no address")
	for text, complaint := range map[string]string{
		"nowhere": "host:port", "::1:80": "host:port", "127.0.0.1:0": "port 0", "127.0.0.1:nosuchservice": "nosuchservice", "127.0.0.1:65536": "65536",
	} {
		_, err = peregrine.Dial(within(t, 30*time.Second), text)
		require.ErrorContains(t, err, complaint)
	}
}

func TestTheFirstAddressToAnswerIsTakenAndTheOthersAreLeft(t *testing.T) {
	t.Parallel()
	server := listenOn(t, "udp://127.0.0.1:0")
	slow, err := peregrine.Listen("udp://"+at("127.0.0.9", server.Addr()), peregrine.WithFault("delay=2s"))
	require.NoError(t, err)
	defer slow.Close()
	client, err := peregrine.Listen("udp://127.0.0.1:0", is("127.0.0.9", "127.0.0.1"))
	require.NoError(t, err)
	defer client.Close()
	s, err := client.Dial(within(t, 30*time.Second), at("service.example", server.Addr()))
	require.NoError(t, err)
	requireEcho(t, s)
	if s.Peer() != server.Addr() {
		t.Skip("the machine is so slow that the slow server was first")
	}
	require.Eventually(t, func() bool { return client.Stats().Peers == 1 && slow.Stats().Peers == 0 }, 30*time.Second, time.Millisecond)
}
