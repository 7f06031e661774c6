package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// lan is two hosts on a wire, each a namespace. The server's has several
// addresses, one of them a service's, on the loopback.
type lan struct{ client, server *netns.Namespace }

func newLAN(t *testing.T, mtu int) lan {
	t.Helper()
	var l lan
	for _, n := range []**netns.Namespace{&l.client, &l.server} {
		made, err := netns.New()
		if errors.Is(err, netns.ErrNotPermitted) {
			t.Skip(err)
		}
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, made.Close()) })
		*n = made
	}
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	require.NoError(t, netns.Veth(mtu,
		netns.Port{Namespace: l.client, Name: "eth0", Addresses: prefixes("10.9.0.1/24", "fd09::1/64")},
		netns.Port{Namespace: l.server, Name: "eth0", Addresses: prefixes("10.9.0.2/24", "10.9.0.3/24", "fd09::2/64", "fd09::3/64")}))
	require.NoError(t, l.server.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		for _, service := range []string{"10.10.0.1/32", "fd0a::1/128"} {
			address, parsed := netlink.ParseAddr(service)
			err = errors.Join(err, parsed, netlink.AddrAdd(lo, address))
		}
		return err
	}))
	require.NoError(t, l.client.Do(func() error {
		eth, err := netlink.LinkByName("eth0")
		for service, via := range map[string]string{"10.10.0.1/32": "10.9.0.2", "fd0a::1/128": "fd09::2"} {
			_, dst, parsed := net.ParseCIDR(service)
			err = errors.Join(err, parsed, netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: dst, Gw: net.ParseIP(via)}))
		}
		return err
	}))
	return l
}

// in opens a transport in a namespace.
func (v variant) in(t *testing.T, n *netns.Namespace, address string) transport.Transport {
	t.Helper()
	var tr transport.Transport
	require.NoError(t, n.Do(func() (err error) {
		c := DefaultConfig()
		c.Address = address
		tr, err = v.open(c)
		return err
	}))
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	return tr
}

func TestAHostWithSeveralAddressesAnswersFromTheOneThatWasAsked(t *testing.T) {
	l := newLAN(t, 1500)
	v := variants[0]
	for _, c := range []struct {
		server string
		asked  []string
	}{
		{"0.0.0.0:0", []string{"10.9.0.2", "10.9.0.3", "10.10.0.1"}},
		{"[::]:0", []string{"10.9.0.2", "10.9.0.3", "10.10.0.1", "fd09::2", "fd09::3", "fd0a::1"}},
	} {
		server, client := v.in(t, l.server, c.server), v.in(t, l.client, ":0")
		for _, text := range c.asked {
			asked := netip.MustParseAddr(text)
			at := netip.AddrPortFrom(asked, server.LocalAddr().Port())
			r, err := client.Resolve(at, netip.Addr{})
			require.NoError(t, err)
			transporttest.Send(t, client, r, "question")
			got := transporttest.Receive(t, server, 1)
			require.Equal(t, asked, got[0].To)
			back, err := server.Resolve(got[0].From, got[0].To)
			require.NoError(t, err)
			server.Release(got)
			transporttest.Send(t, server, back, transporttest.Numbered(20, 100)...)
			got = transporttest.Receive(t, client, 20)
			for _, p := range got {
				require.Equal(t, at, p.From)
			}
			client.Release(got)
			client.Forget(r)
		}
	}
}

func TestAZoneIsTheNameOrTheNumberOfAnInterface(t *testing.T) {
	hosts := [2]*netns.Namespace{}
	for i := range hosts {
		made, err := netns.New()
		if errors.Is(err, netns.ErrNotPermitted) {
			t.Skip(err)
		}
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, made.Close()) })
		hosts[i] = made
	}
	require.NoError(t, netns.Veth(1500,
		netns.Port{Namespace: hosts[0], Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::7/64")}},
		netns.Port{Namespace: hosts[1], Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::8/64")}}))
	require.NoError(t, hosts[0].Do(func() error {
		eth, err := net.InterfaceByName("eth0")
		require.NoError(t, err)
		for _, zone := range []string{"%25eth0", "%eth0", fmt.Sprintf("%%25%d", eth.Index)} {
			tr, err := transport.Open("udp://[fe80::7" + zone + "]:0")
			require.NoError(t, err, zone)
			require.NoError(t, tr.Close())
		}
		_, err = transport.Open("udp://[fe80::7%25nosuch0]:0")
		require.ErrorContains(t, err, "nosuch0")

		// A client that is bound to no address finds the way by the zone too.
		server := variants[0].in(t, hosts[1], "[::]:0")
		client := variants[0].at(t, "[::]:0")
		for _, zone := range []string{"eth0", strconv.Itoa(eth.Index)} {
			at := netip.AddrPortFrom(netip.MustParseAddr("fe80::8%"+zone), server.LocalAddr().Port())
			r, err := client.Resolve(at, netip.Addr{})
			require.NoError(t, err)
			transporttest.Send(t, client, r, "by "+zone)
			require.Equal(t, []string{"by " + zone}, transporttest.Texts(t, server, 1))
		}
		return nil
	}))
}
