package run

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/bench/internal/stat"
)

// TestMain makes this program play the sides of a pair, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "good-server":
			os.Stdout.WriteString("listening on 127.0.0.1:9 over nothing\n")
			_, _ = os.Stdin.Read(make([]byte, 1))
			return
		case "bad-server":
			os.Stderr.WriteString("the port is taken\n")
			os.Exit(1)
		case "good-client":
			result := `{"rate_rps": 2, "goodput_gbps": 8e-9, "client_cpu_ns_per_rpc": 512, "allocs_per_rpc": 1, "server_allocs_per_rpc": 2, "syscalls_per_rpc": 0.5, "server_syscalls_per_rpc": 0.25, "poll": "busy"}`
			if os.Args[2] != "--json" || os.Args[4] != "127.0.0.1:9" || os.WriteFile(os.Args[3], []byte(result), 0o600) != nil {
				os.Exit(1)
			}
			return
		case "idle-client":
			if os.WriteFile(os.Args[3], []byte(`{"rate_rps": 0}`), 0o600) != nil {
				os.Exit(1)
			}
			return
		case "bad-client":
			os.Stderr.WriteString("first\n3 calls failed\n")
			os.Exit(1)
		case "slow-client":
			select {}
		}
	}
	goleak.VerifyTestMain(m)
}

func pair(server, client string) Pair {
	self := os.Args[0]
	return Pair{Server: Command{Program: self, Verb: server}, Client: Command{Program: self, Verb: client}, Limit: time.Minute}
}

func TestAPairHandsInItsResult(t *testing.T) {
	t.Parallel()
	values, err := pair("good-server", "good-client").Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2.0, values["rate_rps"])
	require.Equal(t, 3.0, values["both_allocs_per_rpc"])
	require.Equal(t, 0.75, values["both_syscalls_per_rpc"])
	require.Equal(t, 512.0*2*1024, values["client_cpu_ns_per_kib"], "two calls move one byte")
	require.NotContains(t, values, "poll")
}

func TestAFailureSaysWhatTheProcessSaid(t *testing.T) {
	t.Parallel()
	_, err := pair("bad-server", "good-client").Run(t.Context())
	require.ErrorContains(t, err, "the port is taken")
	_, err = pair("good-server", "bad-client").Run(t.Context())
	require.ErrorContains(t, err, "3 calls failed")
	_, err = pair("good-server", "idle-client").Run(t.Context())
	require.ErrorContains(t, err, "no call was completed")
	slow := pair("good-server", "slow-client")
	slow.Limit = 100 * time.Millisecond
	_, err = slow.Run(t.Context())
	require.ErrorContains(t, err, "not done after 100ms")
}

func TestWhatAFailedRunLeftIsRemoved(t *testing.T) {
	t.Parallel()
	cleared := 0
	for _, client := range []string{"good-client", "bad-client", "idle-client"} {
		p := pair("good-server", client)
		p.Clear = func() error { cleared++; return errors.New("it is stuck") }
		_, err := p.Run(t.Context())
		if client == "good-client" {
			require.NoError(t, err)
			require.Zero(t, cleared)
		} else {
			require.ErrorContains(t, err, "it is stuck")
		}
	}
	require.Equal(t, 2, cleared)
}

func TestABenchmarksFiguresAreFoundByItsFullName(t *testing.T) {
	t.Parallel()
	const output = `goos: linux
BenchmarkSmallRPC/window=64/uncoalesced-2   1  300 ns/op  0 B/op  2 allocs/op
BenchmarkSmallRPC/window=64-2               1  140.5 ns/op  0 B/op  0 allocs/op
PASS
`
	values, err := parseBenchmark(output, "BenchmarkSmallRPC/window=64")
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"ns/op": 140.5, "B/op": 0, "allocs/op": 0}, values)
	_, err = parseBenchmark(output, "BenchmarkSmallRPC/window=1")
	require.ErrorContains(t, err, "no benchmark")
}

// fake returns its numbers in turn, and fails where there is a negative one.
type fake struct{ rtts *[]float64 }

func (f fake) Commands() []string { return nil }

func (f fake) Run(context.Context) (map[string]float64, error) {
	rtt := (*f.rtts)[0]
	*f.rtts = (*f.rtts)[1:]
	if rtt < 0 {
		return nil, errors.New("broken")
	}
	return map[string]float64{"cacheline_rtt_ns": rtt, "cacheline_rtt_after_ns": rtt}, nil
}

func TestRoundsTakeTurnsForwardAndBackward(t *testing.T) {
	t.Parallel()
	var order []int
	runners := []Runner{fake{&[]float64{90, 500}}, fake{&[]float64{-1, 90}}}
	series, failures, err := Rounds(t.Context(), runners, 2, func(_, runner int) { order = append(order, runner) })
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 1, 0}, order)
	require.Equal(t, stat.Near, series[0][0].Label)
	require.Equal(t, stat.Far, series[0][1].Label)
	require.Nil(t, series[1][0])
	require.Len(t, failures[1], 1)
	require.NotNil(t, series[1][1])
}
