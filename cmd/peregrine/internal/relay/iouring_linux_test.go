package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/iouring"
)

func TestCallsPassOverIOUring(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		spin     time.Duration
	}{
		{"iouring://127.0.0.1:0", "iouring://127.0.0.1:0", 0},
		{"iouring://127.0.0.1:0", "udp://127.0.0.1:0", 200 * time.Microsecond},
		{"udp://127.0.0.1:0", "iouring://127.0.0.1:0", Forever},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			t.Parallel()
			tr, err := transport.Open("iouring://127.0.0.1:0")
			if err != nil {
				t.Skip(err)
			}
			require.NoError(t, tr.Close())
			r := running(t, Config{Server: served(t, "udp://127.0.0.1:0"), MaxFlows: 8, Spin: c.spin}, c.from, c.to)
			require.True(t, r.inside.watched)
			for _, size := range []int{0, 1400, 1 << 20} {
				call(t, dialed(t, r, "udp://127.0.0.1:0"), size)
			}
			require.EqualValues(t, 3, r.Stats().FlowsOpen)
		})
	}
}
