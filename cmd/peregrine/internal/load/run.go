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
	// patience is how long the engine's loop, or the server, may take to look up;
	// impatience how long the server may once we were interrupted.
	patience   = 30 * time.Second
	impatience = time.Second
)

// Load says what to measure.
type Load struct {
	Work Work
	// Window is how many calls are outstanding, over all sessions.
	Window int
	// Warmup comes before the measured Duration, which goes on until a call has
	// been completed and a latency sampled.
	Warmup, Duration time.Duration
	// SampleEvery is the sampling of latencies: 1 takes all.
	SampleEvery uint64
	// Grace is how long the first call may take beyond Duration, and the last
	// ones beyond the end before they count as missing. Calls have no timeout of
	// their own: it would be measured too.
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
	// did not within the grace.
	finish(grace time.Duration) (missing uint64)
	// failures may be called after finish.
	failures() failures
	// broken is closed when tooMany calls have failed.
	broken() <-chan struct{}
}

// Run measures over sessions of e, which has one loop. Failed calls, wrong and
// missing replies are counted in the result, from the first call to the last.
// If ctx ends while it measures, the result is what was measured so far, and the
// error [context.Cause]. Any other error means that there is no result.
func Run(ctx context.Context, e *peregrine.Endpoint, sessions []*peregrine.Session, l Load) (measure.Result, error) {
	recorder := measure.NewRecorder()
	var r runner
	if l.Blocking {
		r = newBlocking(sessions, l, recorder)
	} else {
		r = newContinuation(sessions, l, recorder)
	}
	run := run{runner: r, load: l, endpoint: e, session: sessions[0], recorder: recorder}
	r.start()
	result, err := run.measure(ctx)
	if ctx.Err() != nil {
		r.finish(0) // who interrupts does not wait
		return result, context.Cause(ctx)
	}
	missing := r.finish(l.Grace)
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

// run is one run of a runner.
type run struct {
	runner
	load     Load
	endpoint *peregrine.Endpoint
	session  *peregrine.Session // that asks the server
	recorder *measure.Recorder
}

// measure warms up and measures. After an interrupt the result is what there is,
// nothing if the warm-up was not over.
func (r *run) measure(ctx context.Context) (result measure.Result, err error) {
	if err := r.sleep(ctx, r.load.Warmup); err != nil {
		return result, err
	}
	serverBefore, err := Statistics(ctx, r.session)
	if err != nil {
		return result, err
	}
	resentBefore := r.endpoint.Stats().Retransmits
	clientBefore := measure.UsageNow(r.endpoint.Stats().Transport)
	r.recorder.Reset()
	before, err := r.count()
	if err != nil {
		return result, err
	}
	err = r.sleep(ctx, r.load.Duration)
	if err == nil {
		err = r.first(ctx, before)
	}
	if err != nil && ctx.Err() == nil {
		return result, err
	}
	after, err := r.count()
	if err != nil {
		return result, err
	}
	client := measure.UsageNow(r.endpoint.Stats().Transport).Since(clientBefore)
	result.Latency = r.recorder.Latency()
	server, err := r.serverAfter(ctx)
	if err != nil {
		if ctx.Err() == nil {
			return result, err
		}
		server = serverBefore // its share is not known
	}
	sent := r.endpoint.Stats().Transport
	result.ZeroCopied, result.ZeroCopyCopied = sent.TxZeroCopied, sent.TxCopied
	calls, elapsed := after.calls-before.calls, after.at.Sub(before.at)
	result.Per(calls, elapsed, client, server.Usage.Since(serverBefore.Usage))
	result.Goodput = measure.Gigabits(calls*uint64(r.load.Work.Goodput()), elapsed)
	result.Retransmits = r.endpoint.Stats().Retransmits - resentBefore + server.Retransmits - serverBefore.Retransmits
	return result, nil
}

// serverAfter asks the server once more, also after an interrupt, though not for
// long then.
func (r *run) serverAfter(ctx context.Context) (service.Server, error) {
	if ctx.Err() == nil {
		return Statistics(ctx, r.session)
	}
	hurry, cancel := context.WithTimeout(context.WithoutCancel(ctx), impatience)
	defer cancel()
	return Statistics(hurry, r.session)
}

// first waits for a call that was completed since before, and for a latency.
func (r *run) first(ctx context.Context, before counters) error {
	for begin := time.Now(); time.Since(begin) < r.load.Grace; {
		now, err := r.count()
		if err != nil || now.calls > before.calls && r.recorder.Latency().Max > 0 {
			return err
		}
		if err := r.sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil // the result says that there was none
}

var errBroken = fmt.Errorf("gave up after %d failed calls", tooMany)

func (r *run) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.broken():
		return errBroken
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Statistics asks the server at the other end of s for its own.
func Statistics(ctx context.Context, s *peregrine.Session) (service.Server, error) {
	var server service.Server
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := s.Call(ctx, service.Statistics, nil, nil)
	if peregrine.CodeOf(err) == peregrine.Unimplemented {
		err = fmt.Errorf("%w (is it `peregrine serve`?)", err)
	}
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
