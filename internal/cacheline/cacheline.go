package cacheline

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// NearLimit divides CPUs that share a cache from those that do not.
const NearLimit = 250 * time.Nanosecond

// ErrOneCPU says that there are no two CPUs to measure between.
var ErrOneCPU = errors.New("cacheline: needs two different CPUs")

const (
	// trips is how many round trips one clock reading covers.
	trips = 16
	// least is how many readings a median needs. A machine that is busy with
	// other work may take longer for them than asked, but not without limit.
	least    = 200
	overtime = 25
)

// Label names a round trip as users of a benchmark speak of it.
func Label(rtt time.Duration) string {
	if rtt < NearLimit {
		return "near"
	}
	return "far"
}

// RoundTrip bounces a word between two threads, pinned to CPUs a and b, for
// d, or longer on a busy machine, and returns the median time there and back.
// The median, because the threads may share their CPUs with others and are then
// now and again put aside. It is an error where threads cannot be pinned.
func RoundTrip(a, b int, d time.Duration) (time.Duration, error) {
	if a == b {
		return 0, ErrOneCPU
	}
	// Both threads spin: they and the caller each need a place to run.
	if procs := runtime.GOMAXPROCS(0); procs < 3 {
		runtime.GOMAXPROCS(3)
		defer runtime.GOMAXPROCS(procs)
	}
	var (
		line    padded
		ready   sync.WaitGroup
		done    sync.WaitGroup
		errs    [2]error
		batches = make([]time.Duration, 0, 1<<16)
	)
	ready.Add(2)
	done.Add(2)
	start := make(chan struct{})
	side := func(i, cpu int, play func()) {
		defer done.Done()
		undo, err := affinity.Pin(cpu)
		errs[i] = err
		ready.Done()
		<-start
		if undo != nil {
			defer undo()
		}
		if errs[0] == nil && errs[1] == nil {
			play()
		}
	}
	go side(0, a, func() { batches = line.serve(d, batches) })
	go side(1, b, line.answer)
	ready.Wait()
	close(start)
	done.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return 0, fmt.Errorf("cacheline: %w", err)
	}
	slices.Sort(batches)
	return batches[len(batches)/2] / trips, nil
}

const stop = ^uint64(0)

// padded keeps the word alone on its cache lines.
type padded struct {
	_    [128]byte
	word atomic.Uint64
	_    [128]byte
}

// serve counts upwards in odd numbers and awaits the even ones.
func (p *padded) serve(d time.Duration, batches []time.Duration) []time.Duration {
	begin := time.Now()
	last := time.Duration(0)
	for n := uint64(0); len(batches) < cap(batches); {
		for range trips {
			p.word.Store(n + 1)
			n += 2
			for p.word.Load() != n {
			}
		}
		now := time.Since(begin)
		batches = append(batches, now-last)
		last = now
		if now >= d && (len(batches) >= least || now >= overtime*d) {
			break
		}
	}
	p.word.Store(stop)
	return batches
}

// answer replies to each odd number with its successor.
func (p *padded) answer() {
	for {
		switch n := p.word.Load(); {
		case n == stop:
			return
		case n%2 == 1:
			p.word.Store(n + 1)
		}
	}
}
