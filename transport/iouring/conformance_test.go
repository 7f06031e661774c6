//go:build linux

package iouring

import (
	"net/netip"
	"testing"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/transport"
)

func TestConformance(t *testing.T) {
	for i, address := range []string{"127.0.0.1:0", "[::1]:0", ":0", "0.0.0.0:0", "127.0.0.1:0"} {
		v := variants[i]
		t.Run(v.name+" on "+address, func(t *testing.T) {
			conformance.Transport(t, v.factory(address))
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

// factory opens both sides at an address as the variant does.
func (v variant) factory(address string) conformance.Factory {
	return conformance.Factory{
		Inject: conformance.InjectUDP,
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
