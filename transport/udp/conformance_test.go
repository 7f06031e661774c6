package udp

import (
	"crypto/tls"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
	"github.com/peregrine-rpc/peregrine/transport"
)

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		variant int
		address string
		also    []string
	}{
		{0, "127.0.0.1:0", nil},
		{1, ":0", []string{"127.0.0.1", "127.0.0.2"}},
		{2, "[::1]:0", nil},
		{3, "0.0.0.0:0", []string{"127.0.0.2", "127.20.30.40"}},
		{1, "0.0.0.0:0", []string{"127.0.0.2", "127.20.30.40"}},
		{0, "[::]:0", []string{"127.0.0.1", "127.0.0.2"}},
	} {
		v := variants[c.variant]
		t.Run(v.name+" on "+c.address, func(t *testing.T) {
			f := v.factory(c.address)
			for _, addr := range c.also {
				f.Also = append(f.Also, netip.MustParseAddr(addr))
			}
			conformance.Transport(t, f)
		})
	}
}

// The engine sees no more of a variant than the contract.
func TestConformanceOfRPC(t *testing.T) {
	conformance.RPC(t, variants[0].factory("127.0.0.1:0"))
}

// What is sealed comes in other sizes, is copied elsewhere, and proves more. The copies of the test binary
// have authorities of their own: whom they trust is not looked at here.
func TestConformanceOfSealedRPC(t *testing.T) {
	security, err := handshake.New(handshake.Config{TLS: &tls.Config{
		Certificates: []tls.Certificate{testcert.New("authority").Issue("node")}, ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true,
	}})
	require.NoError(t, err)
	f := variants[0].factory("127.0.0.1:0")
	f.Brief = testing.Short()
	f.Configure = func(c *core.Config) { c.Security = security }
	conformance.RPC(t, f)
}

// factory opens both sides at an address as the variant does.
func (v variant) factory(address string) conformance.Factory {
	return conformance.Factory{
		Refuses: v.name != "portable",
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
