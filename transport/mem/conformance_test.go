package mem_test

import (
	"net/netip"
	"testing"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/transport"
)

func TestConformance(t *testing.T) {
	f := conformance.URL("mem://127.0.0.9:0")
	f.OneProcess, f.Refuses = true, true
	conformance.Transport(t, f)
	conformance.RPC(t, f)
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
