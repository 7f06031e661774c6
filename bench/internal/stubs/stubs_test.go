package stubs

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
)

func TestEveryLoadRunsOverAll(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"grpc", "drpc", "peregrine", "nothing"} {
		addr, stop, err := serve(over)
		require.NoError(t, err)
		defer stop()
		c, err := dial(over, addr)
		require.NoError(t, err)
		defer c.Close()
		for _, mode := range []string{"unary", "pingpong", "download", "upload"} {
			// A busy machine may take its time.
			r, err := result{}, side.ErrNone
			for d := 50 * time.Millisecond; errors.Is(err, side.ErrNone); d *= 2 {
				r, err = load{mode: mode, size: 32, window: 2, duration: d}.run(context.Background(), pb.NewBenchmarkServiceClient(c))
			}
			require.NoError(t, err, "%s over %s", mode, over)
			require.Positive(t, r.Rate)
		}
	}
}

func TestIdleStreamsAreMeasured(t *testing.T) {
	t.Parallel()
	addr, stop, err := serve("peregrine")
	require.NoError(t, err)
	defer stop()
	c, err := dial("peregrine", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = idle(context.Background(), pb.NewBenchmarkServiceClient(c), 10)
	require.NoError(t, err)
}

// A step of each load, client and server in one process.
func BenchmarkStep(b *testing.B) {
	for _, over := range []string{"peregrine", "grpc", "nothing"} {
		for _, l := range []load{
			{mode: "unary", size: 32}, {mode: "pingpong", size: 32}, {mode: "download", size: 32}, {mode: "upload", size: 32}, {mode: "unary", size: 1 << 20},
		} {
			b.Run(over+"/"+l.mode+"/"+strconv.Itoa(l.size), func(b *testing.B) {
				addr, stop, err := serve(over)
				require.NoError(b, err)
				defer stop()
				c, err := dial(over, addr)
				require.NoError(b, err)
				defer c.Close()
				client := pb.NewBenchmarkServiceClient(c)
				_, err = client.UnaryCall(b.Context(), &pb.SimpleRequest{}) // a client joins messages once the server has answered
				require.NoError(b, err)
				step, err := l.step(b.Context(), client)
				require.NoError(b, err)
				b.ReportAllocs()
				for b.Loop() {
					if err := step(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
