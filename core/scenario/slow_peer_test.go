package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

func TestAPeerThatIsMerelyNotScheduledIsNotToldTwice(t *testing.T) {
	t.Parallel()
	stories(t, 4, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		s := client.connect(server)
		w.Run(10 * time.Millisecond)
		pauses := uint64(0)
		for range 300 {
			// As where other programs share its CPU.
			calls := s.submits(8, job{})
			w.Run(500 * time.Nanosecond)
			server.host.Pause(time.Duration(3+w.Rand().IntN(5)) * time.Millisecond)
			pauses++
			w.complete(time.Second, calls...)
			for range 10 {
				w.complete(time.Second, s.submits(8, job{})...)
			}
			w.Run(time.Duration(w.Rand().IntN(5)) * time.Millisecond)
		}
		st := client.Stats()
		t.Logf("seed %d: %d pauses, %d sent again in vain", w.seed, pauses, st.SpuriousRetransmits)
		require.Less(t, st.SpuriousRetransmits, pauses/10)
	})
}
