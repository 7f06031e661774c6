package peregrine

import (
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// WithMetrics has each loop count calls and requests by method and code, and their
// latency in histograms, for [Endpoint.Snapshot]. It allocates nothing for a call
// and reads no clock for it: latency is in the time of the loop's turns.
func WithMetrics() Option { return func(o *options) { o.metrics = true } }

// maxSeries bounds the methods of each side that a loop tells apart.
const maxSeries = 256

// meter counts how calls and requests ended. It is its loop's.
type meter struct {
	loop   *loop
	series [2][]*series // by side and method
	known  [2]int
	rest   [2]*series // of the methods that are not told apart
	// Those of this turn, whose latency is known at its end: series that have a run,
	// and runs that another one has followed.
	touched []*series
	runs    []run
}

// series is one method of one side.
type series struct {
	method  int
	codes   [len(codeNames)]uint64
	latency Histogram
	last    run // of this turn
}

// run is some that began at the same time, as those of one burst do: they cost
// little more than one.
type run struct {
	of    *series
	since time.Duration
	n     uint64
}

// ended is what core.Config.Ended is to call: a function literal, which costs less
// than a method would.
func (m *meter) ended() func(side core.Side, method uint16, code core.Code, since time.Duration, count uint64) {
	return func(side core.Side, method uint16, code core.Code, since time.Duration, count uint64) {
		var s *series
		if all := m.series[side&1]; int(method) < len(all) {
			s = all[method]
		}
		if s == nil {
			s = m.meet(side, method)
		}
		if int(code) < len(s.codes) {
			s.codes[code] += count
		}
		if s.last.since == since && s.last.n > 0 {
			s.last.n += count
			return
		}
		m.begin(s, since, count)
	}
}

// begin begins a run.
func (m *meter) begin(s *series, since time.Duration, count uint64) {
	if s.last.n > 0 {
		m.runs = append(m.runs, s.last)
	} else {
		m.touched = append(m.touched, s)
	}
	s.last = run{s, since, count}
}

// meet begins the series of a method. A server has none for what clients ask for
// and nobody handles.
func (m *meter) meet(side core.Side, method uint16) *series {
	if m.known[side] == maxSeries || side == core.Server && m.loop.handlers[method] == nil {
		if m.rest[side] == nil {
			m.rest[side] = &series{method: OtherMethods}
		}
		return m.rest[side]
	}
	m.known[side]++
	if grow := int(method) + 1 - len(m.series[side]); grow > 0 {
		m.series[side] = append(m.series[side], make([]*series, grow)...)
	}
	s := &series{method: int(method)}
	m.series[side][method] = s
	return s
}

// turned takes in that the turn has done by now all but to send.
func (m *meter) turned(now time.Duration) {
	for _, s := range m.touched {
		s.latency.record(now-s.last.since, s.last.n)
		s.last.n = 0
	}
	for i := range m.runs {
		r := &m.runs[i]
		r.of.latency.record(now-r.since, r.n)
	}
	m.touched, m.runs = m.touched[:0], m.runs[:0]
}

// all goes through the series that there are.
func (m *meter) all(f func(side Side, s *series)) {
	for side := range m.series {
		for _, s := range m.series[side] {
			if s != nil {
				f(Side(side), s)
			}
		}
		if s := m.rest[side]; s != nil {
			f(Side(side), s)
		}
	}
}
