package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// blocking calls from goroutines of its own.
type blocking struct {
	load     Load
	sessions []*peregrine.Session
	recorder *measure.Recorder
	stopped  atomic.Bool
	workers  []worker
	running  sync.WaitGroup
	gaveUp   chan struct{}

	mu     sync.Mutex
	failed failures
}

// worker is one goroutine's count, alone on its cache lines.
type worker struct {
	calls atomic.Uint64
	_     [120]byte
}

func newBlocking(sessions []*peregrine.Session, l Load, recorder *measure.Recorder) *blocking {
	return &blocking{
		load: l, sessions: sessions, recorder: recorder,
		workers: make([]worker, l.Window), gaveUp: make(chan struct{}),
	}
}

func (b *blocking) start() {
	for i := range b.workers {
		b.running.Go(func() { b.work(i) })
	}
}

func (b *blocking) work(i int) {
	var (
		work    = b.load.Work
		buf     = make([]byte, work.RequestSize())
		replies = make([]byte, work.ReplySize())
		session = i % len(b.sessions)
		until   = uint64(i) % b.load.SampleEvery
		sent    time.Time
	)
	// Workers count apart: the numbers of one are the others' plus a multiple.
	for seq := uint64(i); !b.stopped.Load(); seq += uint64(len(b.workers)) {
		request := work.Request(buf, seq)
		sampled := until == 0
		if sampled {
			until = b.load.SampleEvery
			sent = time.Now()
		}
		until--
		reply, err := b.sessions[session].Call(context.Background(), work.Method(), request, replies)
		if sampled {
			b.recorder.Record(time.Since(sent))
		}
		switch {
		case err != nil:
			b.fail(err)
		case !work.Right(request, reply, seq):
			b.fail(errWrong(seq))
		default:
			b.workers[i].calls.Add(1)
		}
		session = (session + len(b.workers)) % len(b.sessions)
	}
}

func (b *blocking) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed.add(err)
	if b.failed.count == tooMany {
		b.stopped.Store(true)
		close(b.gaveUp)
	}
}

func (b *blocking) count() (counters, error) {
	now := counters{at: time.Now()}
	for i := range b.workers {
		now.calls += b.workers[i].calls.Load()
	}
	return now, nil
}

// finish closes the sessions of calls that have no reply in time; they count as
// failures.
func (b *blocking) finish(grace time.Duration) (missing uint64) {
	b.stopped.Store(true)
	late := time.AfterFunc(grace, func() {
		for _, s := range b.sessions {
			s.Close()
		}
	})
	b.running.Wait()
	late.Stop()
	return 0
}

func (b *blocking) failures() failures {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func (b *blocking) broken() <-chan struct{} { return b.gaveUp }
