package raw_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/raw"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lossy drops every nth packet that is sent.
type lossy struct {
	transport.Transport
	nth, count int
}

func (l *lossy) Send(pkts []transport.TxPacket) (int, error) {
	for i := range pkts {
		if l.count++; l.count%l.nth == 0 {
			pkts[i].Head[8] = 0xff // a kind that nobody knows
		}
	}
	return l.Transport.Send(pkts)
}

// pair starts a server and returns a client of it.
func pair(t *testing.T, decorate func(transport.Transport) transport.Transport) (*raw.Client, *raw.Server) {
	t.Helper()
	a, b := mem.Pair()
	server := raw.NewServer(a, 0, -1)
	ended := make(chan error, 1)
	go func() { ended <- server.Run() }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-ended)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
	if decorate != nil {
		b = decorate(b)
	}
	client, err := raw.NewClient(b, a.LocalAddr())
	require.NoError(t, err)
	return client, server
}

func brief() raw.Load {
	return raw.Load{
		Size: 32, Window: 8, Warmup: 5 * time.Millisecond, Duration: 50 * time.Millisecond,
		Spin: 0, SampleEvery: 1,
	}
}

func TestEchoesComeBack(t *testing.T) {
	t.Parallel()
	client, server := pair(t, nil)
	result, err := client.Echo(context.Background(), brief())
	require.NoError(t, err)
	require.NotZero(t, result.Calls)
	require.Positive(t, result.Rate)
	require.Positive(t, result.P50)
	require.Zero(t, result.Errors)
	echoes, bulks, malformed := server.Counts()
	require.GreaterOrEqual(t, echoes, result.Calls)
	require.Zero(t, bulks)
	require.Zero(t, malformed)
}

func TestAWindowLargerThanABurstIsKeptFull(t *testing.T) {
	t.Parallel()
	client, _ := pair(t, nil)
	load := brief()
	load.Window = 300
	result, err := client.Echo(context.Background(), load)
	require.NoError(t, err)
	require.Greater(t, result.Calls, uint64(300))
}

func TestLostEchoesAreSentAgain(t *testing.T) {
	t.Parallel()
	client, _ := pair(t, func(tr transport.Transport) transport.Transport { return &lossy{Transport: tr, nth: 7} })
	load := brief()
	load.Duration = 200 * time.Millisecond
	result, err := client.Echo(context.Background(), load)
	require.NoError(t, err)
	require.NotZero(t, result.Calls)
	require.NotZero(t, result.Lost)
}

func TestBulkArrivesAndIsCounted(t *testing.T) {
	t.Parallel()
	client, server := pair(t, nil)
	load := brief()
	load.Size = 8000
	result, err := client.Bulk(context.Background(), load)
	require.NoError(t, err)
	require.Positive(t, result.Goodput)
	require.Zero(t, result.Lost)
	_, bulks, _ := server.Counts()
	require.GreaterOrEqual(t, bulks, result.Calls)
}

func TestBulkOutlivesALostTail(t *testing.T) {
	t.Parallel()
	client, _ := pair(t, func(tr transport.Transport) transport.Transport { return &lossy{Transport: tr, nth: 3} })
	load := brief()
	load.Size = 1000
	load.Duration = 200 * time.Millisecond
	result, err := client.Bulk(context.Background(), load)
	require.NoError(t, err)
	require.NotZero(t, result.Calls)
	require.NotZero(t, result.Lost)
}

func TestSizesThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	client, _ := pair(t, nil)
	for _, size := range []int{0, raw.MinEcho - 1, 1 << 20} {
		load := brief()
		load.Size = size
		_, err := client.Echo(context.Background(), load)
		require.ErrorContains(t, err, "--size")
		_, err = client.Bulk(context.Background(), load)
		require.ErrorContains(t, err, "--size")
	}
	load := brief()
	load.Window = 1 << 20
	_, err := client.Echo(context.Background(), load)
	require.ErrorContains(t, err, "--window")
}

func TestNobodyThereIsAnError(t *testing.T) {
	t.Parallel()
	a, b := mem.Pair()
	defer b.Close()
	addr := a.LocalAddr()
	require.NoError(t, a.Close())
	client, err := raw.NewClient(b, addr)
	require.NoError(t, err)
	_, err = client.Statistics(context.Background())
	require.ErrorIs(t, err, raw.ErrNoAnswer)
}

func TestAStoppedRunEndsEarly(t *testing.T) {
	t.Parallel()
	client, _ := pair(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	load := brief()
	load.Duration = time.Hour
	_, err := client.Echo(ctx, load)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestGarbageIsCountedAndDropped(t *testing.T) {
	t.Parallel()
	client, server := pair(t, func(tr transport.Transport) transport.Transport { return &lossy{Transport: tr, nth: 2} })
	_, err := client.Echo(context.Background(), brief())
	require.NoError(t, err)
	_, _, malformed := server.Counts()
	require.NotZero(t, malformed)
}
