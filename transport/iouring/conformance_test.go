//go:build linux

package iouring

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/transport"
)

func TestConformance(t *testing.T) {
	also := map[string][]netip.Addr{
		":0":        {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")},
		"0.0.0.0:0": {netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.20.30.40")},
	}
	for i, address := range []string{"127.0.0.1:0", "[::1]:0", ":0", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1:0"} {
		v := variants[i]
		t.Run(v.name+" on "+address, func(t *testing.T) {
			f := v.factory(address)
			f.Also = also[address]
			conformance.Transport(t, f)
		})
	}
}

// The engine sees no more of a variant than the contract.
func TestConformanceOfRPC(t *testing.T) {
	for _, v := range variants[:2] {
		t.Run(v.name, func(t *testing.T) {
			conformance.RPC(t, v.factory("127.0.0.1:0"))
		})
	}
}

// TestConformanceOverVeth sends between two namespaces.
func TestConformanceOverVeth(t *testing.T) {
	if testing.Short() {
		t.Log("loopback has the same threads")
		return
	}
	for _, v := range variants[:2] {
		t.Run(v.name, func(t *testing.T) {
			f := v.veth(t)
			conformance.Transport(t, f)
			conformance.RPC(t, f)
		})
	}
}

// veth opens the sides in a namespace each, which a cable joins.
func (v variant) veth(t *testing.T) conformance.Factory {
	addresses := [...]string{conformance.Near: "10.7.0.1", conformance.Far: "10.7.0.2"}
	var places [2]*netns.Namespace
	var ports [2]netns.Port
	for side := range places {
		place, err := netns.New()
		if errors.Is(err, netns.ErrNotPermitted) {
			t.Skip(err)
		}
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, place.Close()) })
		places[side] = place
		ports[side] = netns.Port{Namespace: place, Name: "cable", Addresses: []netip.Prefix{netip.MustParsePrefix(addresses[side] + "/24")}}
	}
	require.NoError(t, netns.Veth(1500, ports[0], ports[1]))
	return conformance.Factory{
		OneProcess: true,
		Refuses:    true,
		Open: func(side conformance.Side, addr netip.AddrPort) (tr transport.Transport, err error) {
			c := DefaultConfig()
			c.Address = addresses[side] + ":0"
			if addr.IsValid() {
				c.Address = addr.String()
			}
			err = places[side].Do(func() error {
				tr, err = v.open(c)
				return err
			})
			return tr, err
		},
	}
}

// factory opens both sides at an address as the variant does.
func (v variant) factory(address string) conformance.Factory {
	return conformance.Factory{
		Refuses: true,
		Inject:  conformance.InjectUDP,
		Open: func(_ conformance.Side, addr netip.AddrPort) (transport.Transport, error) {
			c := DefaultConfig()
			c.Address = address
			if addr.IsValid() {
				c.Address = addr.String()
			}
			return v.open(c)
		},
	}
}
