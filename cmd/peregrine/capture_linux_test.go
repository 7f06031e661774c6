package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What leaves and reaches a queue of AF_XDP passes no socket that tcpdump has.
func TestAServerRecordsWhatItsClientsAskOverAFXDP(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, 1500, 1500)
			path := filepath.Join(t.TempDir(), "f.pcapng")
			server := serveIn(t, s.middle, "capture", "xdp://inside?port=7000&mode="+mode, "-w", path, "--snap", "128",
				"--plain", "--until-eof", "--patience", "1m")
			require.Positive(t, perfIn(t, s.client, server.addr, "--mode", "latency")["calls"])
			require.Contains(t, server.end(t), "recorded ")
			require.Positive(t, recordedIn(t, path))
			s.untouched(t)
		})
	}
}
