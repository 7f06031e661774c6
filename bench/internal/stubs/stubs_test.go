package stubs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

func TestEveryLoadRunsOverBoth(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"grpc", "peregrine"} {
		addr, stop, err := serve(over)
		require.NoError(t, err)
		defer stop()
		c, err := dial(over, addr)
		require.NoError(t, err)
		defer c.Close()
		for _, mode := range []string{"unary", "pingpong", "download"} {
			// A busy machine may take its time.
			r, err := result{}, errNone
			for d := 50 * time.Millisecond; errors.Is(err, errNone); d *= 2 {
				r, err = load{mode: mode, size: 32, window: 2, duration: d}.run(context.Background(), pb.NewBenchmarkServiceClient(c))
			}
			require.NoError(t, err, "%s over %s", mode, over)
			require.Positive(t, r.Rate)
		}
	}
}
