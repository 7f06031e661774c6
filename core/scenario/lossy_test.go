package scenario_test

import (
	"testing"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// A wire that is uneven and loses one datagram in ten does so to slow senders as
// well: whoever
// takes that for congestion comes to a halt.
func TestAWireThatLosesOneInTenIsOfUse(t *testing.T) {
	t.Parallel()
	controllers(t, func(t *testing.T, controller cc.Factory) {
		stories(t, 3, func(w *world) {
			w.cable.Delay, w.cable.MTU = 10*time.Microsecond, 9000
			cfg := core.Config{Controller: controller}
			server, client := w.add("server", cfg), w.add("client", cfg)
			s := client.connect(server)
			client.faults(sim.Faults{Loss: 0.1, Jitter: 300 * time.Microsecond})
			for range 30 {
				calls := append(s.submits(40, job{size: 100, reply: 100}), s.submits(10, job{size: 20_000, reply: 20_000})...)
				w.complete(200*time.Millisecond, calls...)
			}
		})
	})
}
