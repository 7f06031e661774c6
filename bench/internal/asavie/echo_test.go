package asavie

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/wire"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

// TestMain makes this program play the sides of the echo, too.
func TestMain(m *testing.M) {
	sides := map[string]func(args []string) error{"enter": wire.Enter, "serve": Serve, "perf": Perf}
	if len(os.Args) > 1 && sides[os.Args[1]] != nil {
		if err := sides[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	transporttest.Isolated(m)
}

// One run begins where the last one's queue may still be the kernel's.
func TestRunsFollowEachOther(t *testing.T) {
	t.Parallel()
	w, err := wire.New()
	if errors.Is(err, netns.ErrNotPermitted) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	if runtime.NumCPU() < 2 {
		t.Skip("each side has a CPU")
	}
	self := os.Args[0]
	for _, window := range []string{"1", "64", "1", "64"} {
		values, err := run.Pair{
			Server: run.Command{Prefix: w.Server(self), Program: self, Verb: "serve", Common: []string{"--interface", wire.ServerInterface}},
			Client: run.Command{Prefix: w.Client(self), Program: self, Verb: "perf", Common: []string{
				"--interface", wire.ClientInterface, "--own", "02:00:00:09:00:02/" + wire.ClientAddress, "--peer", "02:00:00:09:00:01/" + wire.ServerAddress,
				"--duration", "100ms", "--warmup", "10ms", "--window", window}},
			Limit: time.Minute,
		}.Run(t.Context())
		require.NoError(t, err)
		require.Positive(t, values["rate_rps"])
		require.Positive(t, values["p50_us"], "no echo is faster than its datagram")
	}
}
