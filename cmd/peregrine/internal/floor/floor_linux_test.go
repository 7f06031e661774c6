package floor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/netns"
	_ "github.com/peregrine-rpc/peregrine/transport/udp"
	_ "github.com/peregrine-rpc/peregrine/transport/xdp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPrimitivesHaveACost(t *testing.T) {
	t.Parallel()
	require.Positive(t, SystemCall(time.Millisecond))
	require.Positive(t, Clock(time.Millisecond))
	p50, p99, slack, err := Timer(0, 5*time.Millisecond)
	require.NoError(t, err)
	require.GreaterOrEqual(t, p99, p50)
	require.GreaterOrEqual(t, p50, time.Duration(0))
	require.GreaterOrEqual(t, slack, time.Duration(0))
}

var brief = Times{Warmup: time.Millisecond, Measured: 20 * time.Millisecond}

func measured(t *testing.T, l Link, cpus CPUs) {
	t.Helper()
	f, err := Measure(t.Context(), l, cpus, brief)
	require.NoError(t, err)
	for _, r := range []float64{f.RawOne.P50, f.CallsOne.P50, f.RawMany.Rate, f.CallsMany.Rate} {
		require.Positive(t, r)
	}
}

func TestKernelSocketsAreMeasured(t *testing.T) {
	t.Parallel()
	measured(t, Loopback("udp"), CPUs{})
}

func TestInterfacesAreMeasuredOverAPairOfTheirOwn(t *testing.T) {
	t.Parallel()
	l, err := Veth("xdp")
	if errors.Is(err, netns.ErrNotPermitted) {
		t.Skip(err)
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	measured(t, l, CPUs{})
}

func TestAMeasurementIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Measure(ctx, Loopback("udp"), CPUs{}, brief)
	require.ErrorIs(t, err, context.Canceled)
}
