package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/service"
)

const (
	// tooMany failed calls end a run: nothing is left to measure.
	tooMany = 1000
	// patience is how long the engine's loop may take to look up.
	patience = 10 * time.Second
)

// Load says what to measure.
type Load struct {
	Work Work
	// Window is how many calls are outstanding, over all sessions.
	Window int
	// Warmup comes before the measured Duration.
	Warmup, Duration time.Duration
	// SampleEvery is the sampling of latencies: 1 takes all.
	SampleEvery uint64
	// Grace is how long the last calls may take before they count as missing.
	// Calls have no timeout of their own: it would be measured too.
	Grace time.Duration
	// Blocking chooses goroutines in Call instead of continuations.
	Blocking bool
}

// counters are a runner's, at one time.
type counters struct {
	at    time.Time
	calls uint64 // completed with the right reply
}

// runner is a form of calling.
type runner interface {
	start()
	// count returns the counters of now.
	count() (counters, error)
	// finish lets outstanding calls end, without new ones, and returns how many
	// did not within the Load's Grace.
	finish() (missing uint64)
	// failures may be called after finish.
	failures() failures
	// broken is closed when tooMany calls have failed.
	broken() <-chan struct{}
}

// Run measures over sessions of e, which has one loop. Failed calls, wrong and
// missing replies are counted in the result, from the first call to the last;
// an error means that there is no result.
func Run(ctx context.Context, e *peregrine.Endpoint, sessions []*peregrine.Session, l Load) (measure.Result, error) {
	recorder := measure.NewRecorder()
	var r runner
	if l.Blocking {
		r = newBlocking(sessions, l, recorder)
	} else {
		r = newContinuation(sessions, l, recorder)
	}
	var result measure.Result
	r.start()
	err := func() error {
		if err := sleep(ctx, r, l.Warmup); err != nil {
			return err
		}
		serverBefore, err := Statistics(ctx, sessions[0])
		if err != nil {
			return err
		}
		resentBefore := e.Stats().Retransmits
		clientBefore := measure.UsageNow()
		recorder.Reset()
		before, err := r.count()
		if err != nil {
			return err
		}
		if err := sleep(ctx, r, l.Duration); err != nil {
			return err
		}
		after, err := r.count()
		if err != nil {
			return err
		}
		client := measure.UsageNow().Since(clientBefore)
		server, err := Statistics(ctx, sessions[0])
		if err != nil {
			return err
		}
		calls, elapsed := after.calls-before.calls, after.at.Sub(before.at)
		result.Per(calls, elapsed, client, server.Usage.Since(serverBefore.Usage))
		result.Goodput = measure.Gigabits(calls*uint64(l.Work.Goodput()), elapsed)
		result.Retransmits = e.Stats().Retransmits - resentBefore + server.Retransmits - serverBefore.Retransmits
		result.Latency = recorder.Latency()
		return nil
	}()
	missing := r.finish()
	f := r.failures()
	if err != nil {
		return result, errors.Join(err, f.first)
	}
	result.Errors = f.count + missing
	if f.first != nil {
		result.FirstError = f.first.Error()
	} else if missing > 0 {
		result.FirstError = fmt.Sprintf("%d calls did not end within %v", missing, l.Grace)
	}
	return result, nil
}

var errBroken = fmt.Errorf("gave up after %d failed calls", tooMany)

func sleep(ctx context.Context, r runner, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.broken():
		return errBroken
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Statistics asks the server at the other end of s for its own.
func Statistics(ctx context.Context, s *peregrine.Session) (service.Server, error) {
	var server service.Server
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := s.Call(ctx, service.Statistics, nil, nil)
	if err != nil {
		return server, fmt.Errorf("the server's statistics: %w", err)
	}
	if err := json.Unmarshal(text, &server); err != nil {
		return server, fmt.Errorf("the server's statistics: %w (is it `peregrine serve` of this version?)", err)
	}
	return server, nil
}

// failures counts calls that failed or got a wrong reply.
type failures struct {
	count uint64
	first error
}

func (f *failures) add(err error) {
	if f.count++; f.count == 1 {
		f.first = err
	}
}

func errWrong(seq uint64) error { return fmt.Errorf("the reply to call %d is wrong", seq) }
