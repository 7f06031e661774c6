package mem_test

import (
	"crypto/tls"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
	"github.com/peregrine-rpc/peregrine/transport"
)

func TestConformance(t *testing.T) {
	f := conformance.URL("mem://127.0.0.9:0")
	f.OneProcess, f.Refuses = true, true
	conformance.Transport(t, f)
	conformance.RPC(t, f)
}

// The engine promises the same where its connections are sealed.
func TestConformanceOfSealedConnections(t *testing.T) {
	key, err := psk.New([][psk.KeySize]byte{{1}}, nil)
	require.NoError(t, err)
	authority := testcert.New("authority")
	certified, err := handshake.New(handshake.Config{TLS: &tls.Config{
		Certificates: []tls.Certificate{authority.Issue("node")}, RootCAs: authority.Pool(), ServerName: "node",
		ClientCAs: authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	require.NoError(t, err)
	for name, security := range map[string]packet.Security{"PSK": key, "TLS": certified} {
		t.Run(name, func(t *testing.T) {
			f := conformance.URL("mem://127.0.0.9:0")
			f.OneProcess, f.Refuses = true, true
			f.Configure = func(c *core.Config) { c.Security = security }
			conformance.RPC(t, f)
		})
	}
}

func TestConformanceWithFewBuffers(t *testing.T) {
	f := conformance.URL("mem://[100::9]:0?max_payload=1200&buffers=8&poison=true")
	f.OneProcess, f.Refuses = true, true
	conformance.Transport(t, f)
}

func TestConformanceOnAWildcard(t *testing.T) {
	f := conformance.URL("mem://[::]:0")
	f.OneProcess, f.Refuses = true, true
	f.Also = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.1.2.3")}
	conformance.Transport(t, f)
}

// A decorator that changes nothing keeps all promises, of what it decorates too.
func TestConformanceBehindADecorator(t *testing.T) {
	for name, decorate := range map[string]func(transport.Transport) transport.Transport{
		"Fault": func(tr transport.Transport) transport.Transport { return transport.NewFault(tr, transport.Faults{}) },
		"Capture": func(tr transport.Transport) transport.Transport {
			return transport.NewCapture(tr, transport.CaptureOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := conformance.URL("mem://127.0.0.9:0")
			f.OneProcess, f.Refuses = true, true
			open := f.Open
			f.Open = func(side conformance.Side, addr netip.AddrPort) (transport.Transport, error) {
				tr, err := open(side, addr)
				if err != nil {
					return nil, err
				}
				return decorate(tr), nil
			}
			conformance.Transport(t, f)
		})
	}
}
