package xdp

import (
	"testing"

	"github.com/peregrine-rpc/peregrine/conformance"
)

func TestConformance(t *testing.T) {
	for _, m := range []string{"native", "generic"} {
		t.Run(m, func(t *testing.T) {
			w := wired(t, 1500, "10.9.0.1/24", "10.9.0.2/24")
			conformance.Transport(t, w.between(w.near.xdp(mode(m)), w.far.xdp(mode(m))))
		})
	}
}
