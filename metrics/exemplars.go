package metrics

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/peregrine-rpc/peregrine"
)

// Exemplar is a call, or a request, that a histogram has counted, by the trace that
// shows it.
type Exemplar struct {
	Trace peregrine.Trace
	// Took is from Session.Call to its return, or as long as the handler ran.
	Took  time.Duration
	Ended time.Time
}

// Exemplars keeps the latest traced call of each bucket of the histograms, for exporters
// to link to. NewExemplars makes one; any goroutine may use it.
//
//	exemplars := metrics.NewExemplars()
//	peregrine.Listen(url, append(exemplars.Options(), peregrine.WithMetrics())...) // behind otel.Tracing's
//	metrics.Source{Endpoint: endpoint, Exemplars: exemplars}
type Exemplars struct {
	mu sync.Mutex
	of map[exemplarsOf][]Exemplar // by bucket; the zero Exemplar: none
}

type exemplarsOf struct {
	side   peregrine.Side
	method int
}

// maxExemplars bounds the methods of which there are exemplars, at both sides.
const maxExemplars = 512

// NewExemplars returns one that has none yet.
func NewExemplars() *Exemplars { return &Exemplars{of: map[exemplarsOf][]Exemplar{}} }

// Options has an endpoint's calls and handlers tell x how long they took, if their trace is
// recorded. Give them behind those of what makes spans, so that its spans are what is
// linked. Calls by Go and Submit tell nothing.
func (x *Exemplars) Options() []peregrine.Option {
	return []peregrine.Option{peregrine.WithCallInterceptor(x.call), peregrine.WithHandlerInterceptor(x.handle)}
}

// recorded says whether a trace can be looked at.
func recorded(t peregrine.Trace) bool { return t.Flags&1 != 0 && t.IsValid() }

func (x *Exemplars) call(next peregrine.CallFunc) peregrine.CallFunc {
	return func(ctx context.Context, m peregrine.Method, request, buf []byte) ([]byte, error) {
		trace := peregrine.TraceFromContext(ctx)
		if !recorded(trace) {
			return next(ctx, m, request, buf)
		}
		began := time.Now()
		response, err := next(ctx, m, request, buf)
		x.keep(peregrine.Client, m.Number(), trace, began)
		return response, err
	}
}

func (x *Exemplars) handle(next peregrine.Handler) peregrine.Handler {
	return func(r peregrine.Request) {
		method, trace := r.Method(), r.Trace()
		if !recorded(trace) {
			next(r)
			return
		}
		began := time.Now()
		next(r)
		x.keep(peregrine.Server, method, trace, began)
	}
}

func (x *Exemplars) keep(side peregrine.Side, method uint16, trace peregrine.Trace, began time.Time) {
	now := time.Now()
	took := now.Sub(began)
	bucket, _ := slices.BinarySearch(Bounds, took.Seconds())
	key := exemplarsOf{side, int(method)}
	x.mu.Lock()
	defer x.mu.Unlock()
	all, known := x.of[key]
	if !known {
		if len(x.of) == maxExemplars {
			return
		}
		all = make([]Exemplar, len(Bounds)+1)
		x.of[key] = all
	}
	all[bucket] = Exemplar{trace, took, now}
}

// list is those of a method, shortest first.
func (x *Exemplars) list(side peregrine.Side, method int) (list []Exemplar) {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.of[exemplarsOf{side, method}] {
		if !e.Ended.IsZero() {
			list = append(list, e)
		}
	}
	return list
}
