package load_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/load"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/service"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is for hosts that are busy with something else.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

// connect opens sessions to a server of its own.
func connect(t *testing.T, sessions int) (server, client *peregrine.Endpoint, list []*peregrine.Session) {
	t.Helper()
	server, err := peregrine.Listen("mem://", patient)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	service.Register(server, 3)
	client, err = peregrine.Listen("mem://", patient)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	for range sessions {
		s, err := client.Dial(t.Context(), server.Addr().String())
		require.NoError(t, err)
		list = append(list, s)
	}
	return server, client, list
}

func brief(work load.Work) load.Load {
	return load.Load{
		Work: work, Window: 4, Warmup: 10 * time.Millisecond, Duration: 50 * time.Millisecond,
		SampleEvery: 1, Grace: time.Minute,
	}
}

func TestEveryWorkIsMeasuredInBothForms(t *testing.T) {
	t.Parallel()
	for _, work := range []load.Work{
		load.Echo{Size: 32},
		load.Echo{Size: 50_000},
		load.Upload{Size: 100_000},
		load.Upload{Size: 8},
		load.Upload{Size: 100_000, Verify: true},
		load.Download{Size: 100_000},
		load.Download{Size: 5},
		load.Download{Size: 0},
		load.Download{Size: 100_000, Verify: true},
	} {
		for _, blocking := range []bool{false, true} {
			_, client, sessions := connect(t, 3)
			l := brief(work)
			l.Blocking = blocking
			result, err := load.Run(t.Context(), client, sessions, l)
			require.NoError(t, err)
			require.Zero(t, result.Errors, "%#v %v: %s", work, blocking, result.FirstError)
			require.NotZero(t, result.Calls)
			require.Positive(t, result.P50)
		}
	}
}

func TestAServerTellsWhatItUses(t *testing.T) {
	t.Parallel()
	_, _, sessions := connect(t, 1)
	told, err := load.Statistics(t.Context(), sessions[0])
	require.NoError(t, err)
	require.Equal(t, 3, told.PinnedTo)
	require.NotZero(t, told.Mallocs)
}

// distrustful finds every reply wrong.
type distrustful struct{ load.Echo }

func (distrustful) Right(_, _ []byte, _ uint64) bool { return false }

func TestWrongRepliesAreErrorsAndEndTheRun(t *testing.T) {
	t.Parallel()
	for _, blocking := range []bool{false, true} {
		_, client, sessions := connect(t, 1)
		l := brief(distrustful{load.Echo{Size: 32}})
		l.Duration = time.Hour
		l.Blocking = blocking
		_, err := load.Run(t.Context(), client, sessions, l)
		require.ErrorContains(t, err, "gave up")
		require.ErrorContains(t, err, "is wrong")
	}
}

// unserved calls a method that the server has not.
type unserved struct{ load.Echo }

func (unserved) Method() uint16 { return 999 }

func TestFailedCallsAreErrors(t *testing.T) {
	t.Parallel()
	for _, blocking := range []bool{false, true} {
		_, client, sessions := connect(t, 1)
		l := brief(unserved{load.Echo{Size: 32}})
		l.Duration = time.Hour
		l.Blocking = blocking
		_, err := load.Run(t.Context(), client, sessions, l)
		require.ErrorContains(t, err, "no such method")
	}
}

func TestMissingRepliesAreErrors(t *testing.T) {
	t.Parallel()
	for _, blocking := range []bool{false, true} {
		server, client, sessions := connect(t, 1)
		server.Handle(unserved{}.Method(), func(r peregrine.Request) { r.Defer() })
		l := brief(unserved{load.Echo{Size: 32}})
		l.Grace = 20 * time.Millisecond
		l.Blocking = blocking
		result, err := load.Run(t.Context(), client, sessions, l)
		require.NoError(t, err)
		require.EqualValues(t, l.Window, result.Errors)
		require.NotEmpty(t, result.FirstError)
		require.Zero(t, result.Calls)
	}
}

// slow calls are answered as a test says.
type slow struct{ load.Echo }

func (slow) Method() uint16 { return 998 }

func TestAMeasurementGoesOnUntilSomethingWasMeasured(t *testing.T) {
	t.Parallel()
	for _, blocking := range []bool{false, true} {
		server, client, sessions := connect(t, 1)
		server.Handle(slow{}.Method(), func(r peregrine.Request) {
			time.Sleep(20 * time.Millisecond)
			r.Reply(r.Data())
		}, peregrine.Go(4))
		l := brief(slow{load.Echo{Size: 32}})
		l.Warmup, l.Duration, l.SampleEvery, l.Blocking = 0, time.Millisecond, 3, blocking
		result, err := load.Run(t.Context(), client, sessions, l)
		require.NoError(t, err)
		require.NotZero(t, result.Calls)
		require.Positive(t, result.P50)
		require.Positive(t, result.Goodput)
	}
}

func TestAnInterruptedRunTellsWhatItMeasured(t *testing.T) {
	t.Parallel()
	for _, blocking := range []bool{false, true} {
		var result measure.Result
		// However slow the machine, some interrupt comes after the beginning.
		for after := int32(100); result.Calls == 0; after *= 2 {
			result = interrupted(t, blocking, after)
		}
		require.Positive(t, result.Seconds)
		require.Positive(t, result.P50)
	}
}

// interrupted returns the result of a run that is interrupted after so many calls.
func interrupted(t *testing.T, blocking bool, after int32) measure.Result {
	server, client, sessions := connect(t, 1)
	errEnough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var calls atomic.Int32
	server.Handle(slow{}.Method(), func(r peregrine.Request) {
		r.Reply(r.Data())
		if calls.Add(1) == after {
			cancel(errEnough)
		}
	})
	l := brief(slow{load.Echo{Size: 32}})
	l.Warmup, l.Duration, l.Blocking = 0, time.Hour, blocking
	result, err := load.Run(ctx, client, sessions, l)
	require.ErrorIs(t, err, errEnough)
	return result
}

func TestAnInterruptedRunDoesNotWaitForReplies(t *testing.T) {
	t.Parallel()
	for _, blocking := range []bool{false, true} {
		server, client, sessions := connect(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		server.Handle(unserved{}.Method(), func(r peregrine.Request) {
			r.Defer()
			cancel()
		})
		l := brief(unserved{load.Echo{Size: 32}})
		l.Duration, l.Grace, l.Blocking = time.Hour, time.Hour, blocking
		result, err := load.Run(ctx, client, sessions, l)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, result.Calls)
	}
}

func TestRepliesThatDoNotFitTheRequestAreFoundOut(t *testing.T) {
	t.Parallel()
	echo := load.Echo{Size: 32}
	request := echo.Request(make([]byte, 32), 7)
	require.True(t, echo.Right(request, request, 7))
	require.False(t, echo.Right(request, request[:31], 7))

	for _, verify := range []bool{false, true} {
		download := load.Download{Size: 10_000, Verify: verify}
		reply := append([]byte(nil), service.Pattern(7, 10_000)...)
		require.True(t, download.Right(nil, reply, 7))
		require.False(t, download.Right(nil, reply, 8))
		require.False(t, download.Right(nil, reply[:9_999], 7))
		reply[9_999]++
		require.False(t, download.Right(nil, reply, 7))

		upload := load.Upload{Size: 10_000, Verify: verify}
		require.False(t, upload.Right(upload.Request(nil, 1), make([]byte, 16), 1))
		require.False(t, upload.Right(upload.Request(nil, 1), nil, 1))
	}
}
