package raw_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
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

// patient ends a measurement after so many sent datagrams, however long they take.
type patient struct {
	transport.Transport
	sends int
	end   context.CancelFunc
}

func (p *patient) decorate(tr transport.Transport) transport.Transport {
	p.Transport = tr
	return p
}

// until makes the load last until then.
func (p *patient) until(t *testing.T, l *raw.Load) (ctx context.Context) {
	l.Warmup, l.Duration = 0, time.Hour
	ctx, p.end = context.WithCancel(t.Context())
	t.Cleanup(p.end)
	return ctx
}

func (p *patient) Send(pkts []transport.TxPacket) (int, error) {
	if p.sends -= len(pkts); p.sends <= 0 {
		p.end()
	}
	return p.Transport.Send(pkts)
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
	enough := &patient{sends: 2000}
	client, _ := pair(t, enough.decorate)
	load := brief()
	load.Window = 300
	result, err := client.Echo(enough.until(t, &load), load)
	require.ErrorIs(t, err, context.Canceled)
	require.Greater(t, result.Calls, uint64(300))
}

func TestLostEchoesAreSentAgain(t *testing.T) {
	t.Parallel()
	enough := &patient{sends: 1000}
	client, _ := pair(t, func(tr transport.Transport) transport.Transport {
		return &lossy{Transport: enough.decorate(tr), nth: 7}
	})
	load := brief()
	result, err := client.Echo(enough.until(t, &load), load)
	require.ErrorIs(t, err, context.Canceled)
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
	enough := &patient{sends: 1000}
	client, _ := pair(t, func(tr transport.Transport) transport.Transport {
		return &lossy{Transport: enough.decorate(tr), nth: 3}
	})
	load := brief()
	load.Size = 1000
	result, err := client.Bulk(enough.until(t, &load), load)
	require.ErrorIs(t, err, context.Canceled)
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
	client.Patience = time.Millisecond
	_, err = client.Statistics(context.Background())
	require.ErrorIs(t, err, raw.ErrNoAnswer)
}

func TestAnInterruptedWarmUpMeasuredNothing(t *testing.T) {
	t.Parallel()
	for _, measure := range []func(*raw.Client, context.Context, raw.Load) (measure.Result, error){(*raw.Client).Echo, (*raw.Client).Bulk} {
		enough := &patient{sends: 100}
		client, _ := pair(t, enough.decorate)
		load := brief()
		ctx := enough.until(t, &load)
		load.Warmup = time.Hour
		result, err := measure(client, ctx, load)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, result)
	}
}

func TestAMeasurementGoesOnUntilSomethingCameBack(t *testing.T) {
	t.Parallel()
	for _, measure := range []func(*raw.Client, context.Context, raw.Load) (measure.Result, error){(*raw.Client).Echo, (*raw.Client).Bulk} {
		client, _ := pair(t, nil)
		load := brief()
		load.Warmup, load.Duration, load.SampleEvery = 0, 1, 16
		result, err := measure(client, t.Context(), load)
		require.NoError(t, err)
		require.NotZero(t, result.Calls)
		require.Positive(t, result.Goodput)
	}
}

func TestGarbageIsCountedAndDropped(t *testing.T) {
	t.Parallel()
	client, server := pair(t, func(tr transport.Transport) transport.Transport { return &lossy{Transport: tr, nth: 2} })
	_, err := client.Echo(context.Background(), brief())
	require.NoError(t, err)
	_, _, malformed := server.Counts()
	require.NotZero(t, malformed)
}
