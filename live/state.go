package live

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/flight"
	"github.com/peregrine-rpc/peregrine/metrics"
)

// State is what an endpoint does now: rates and latencies are of the time since the
// state before.
type State struct {
	Time     time.Time `json:"time"`
	Address  string    `json:"address"`
	Backend  string    `json:"backend"`
	Notes    []string  `json:"notes,omitempty"`
	Interval float64   `json:"interval_s"`
	Held     bool      `json:"held"` // a loop did not answer, and is left out

	Loops     []Loop           `json:"loops"`
	Methods   []Method         `json:"methods"`
	Peers     []Peer           `json:"peers"`
	MorePeers int              `json:"more_peers"`
	Totals    peregrine.Stats  `json:"totals"`
	Rates     map[string]int64 `json:"rates"` // a second
	Calls     []Call           `json:"calls"` // slow or failed, the newest first
	Events    []Happening      `json:"events"`
}

// Loop is what a loop spends its time on.
type Loop struct {
	Busy          float64 `json:"busy"` // share, of the interval
	Turns         float64 `json:"turns_per_s"`
	LongTurns     uint64  `json:"long_turns"`
	LongestMicros float64 `json:"longest_us"`
	LongestMethod string  `json:"longest_method"`
	Posted        int     `json:"posted"`
}

// Method is how calls of a method went.
type Method struct {
	Side   string            `json:"side"`
	Method string            `json:"method"`
	Total  uint64            `json:"total"`
	Failed map[string]uint64 `json:"failed"` // by status, in all
	Rate   float64           `json:"per_s"`
	P50    float64           `json:"p50_us"`
	P99    float64           `json:"p99_us"`
}

// Peer is how a connection stands.
type Peer struct {
	Address  string  `json:"address"`
	Side     string  `json:"side"`
	RTT      float64 `json:"rtt_us"`
	Window   int     `json:"window"`
	InFlight int     `json:"in_flight"`
	MTU      int     `json:"mtu"`
	Sessions int     `json:"sessions"`
	Requests int     `json:"requests"`
	Queued   int     `json:"queued"`
}

// Call is one that was slow or failed.
type Call struct {
	At     time.Time `json:"at"`
	ID     string    `json:"id"`
	Side   string    `json:"side"`
	Method string    `json:"method"`
	Took   float64   `json:"took_us"`
	Waited float64   `json:"waited_us"` // for a slot
	Status string    `json:"status"`
}

// Happening is what happened to a connection.
type Happening struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// history is what the next state is compared with.
type history struct {
	at       time.Time
	snapshot peregrine.Snapshot
	recorded int64 // ns: calls up to then were looked at
	calls    []Call
}

// slow is how long a call takes that is shown for it.
const slow = time.Millisecond

const (
	mostCalls    = 30 // shown
	mostNewCalls = 10 // a state
	mostEvents   = 30
	shownPeers   = 50
)

// next measures.
func (h *history) next(ctx context.Context, source *metrics.Source) *State {
	e := source.Endpoint
	now := time.Now()
	snapshot, err := e.Snapshot(ctx, shownPeers)
	before := h.snapshot
	interval := now.Sub(h.at)
	if h.at.IsZero() {
		interval = time.Second
		for _, l := range snapshot.Loops {
			interval = max(interval, l.Age)
		}
	}
	h.at, h.snapshot = now, snapshot
	caps := e.Caps()
	s := &State{
		Time: now, Address: e.Addr().String(), Backend: caps.Backend, Notes: caps.Notes, Interval: interval.Seconds(), Held: err != nil,
		MorePeers: snapshot.MorePeers, Totals: snapshot.Stats,
		Loops: []Loop{}, Methods: []Method{}, Peers: []Peer{}, Calls: []Call{}, Events: []Happening{},
	}
	s.rates(&before.Stats, &snapshot.Stats)
	s.loops(source, before.Loops, snapshot.Loops)
	s.methods(source, before.Methods, snapshot.Methods)
	for i := range snapshot.Peers {
		p := &snapshot.Peers[i]
		s.Peers = append(s.Peers, Peer{
			p.Addr.String(), p.Side.String(), micros(p.RTT), p.Window, p.BytesInFlight, p.MTU, p.Sessions, p.Requests, p.Queued,
		})
	}
	h.recent(ctx, source, s)
	return s
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// rates are those of the counters that tell most.
func (s *State) rates(before, after *peregrine.Stats) {
	s.Rates = map[string]int64{}
	for _, c := range []struct {
		name string
		of   func(*peregrine.Stats) uint64
	}{
		{"calls", func(st *peregrine.Stats) uint64 { return st.CallsSucceeded + st.CallsFailed }},
		{"requests", func(st *peregrine.Stats) uint64 { return st.RequestsHandled }},
		{"received", func(st *peregrine.Stats) uint64 { return st.Transport.RxPackets }},
		{"sent", func(st *peregrine.Stats) uint64 { return st.Transport.TxPackets }},
		{"received bytes", func(st *peregrine.Stats) uint64 { return st.Transport.RxBytes }},
		{"sent bytes", func(st *peregrine.Stats) uint64 { return st.Transport.TxBytes }},
		{"sent again", func(st *peregrine.Stats) uint64 { return st.Retransmits }},
		{"lost", func(st *peregrine.Stats) uint64 { return st.LostPackets }},
		{"queued", func(st *peregrine.Stats) uint64 { return st.CallsQueued }},
	} {
		s.Rates[c.name] = int64(float64(c.of(after)-c.of(before)) / s.Interval)
	}
}

func (s *State) loops(source *metrics.Source, before, after []peregrine.LoopStats) {
	if len(before) != len(after) { // one was held, then or now
		before = make([]peregrine.LoopStats, len(after))
	}
	for i, l := range after {
		age := max(l.Age-before[i].Age, 1)
		method := ""
		switch l.LongestMethod {
		case peregrine.NoMethod:
		case peregrine.OtherMethods:
			method = "several"
		default:
			method = source.MethodName(l.LongestMethod)
		}
		s.Loops = append(s.Loops, Loop{
			Busy: (l.Busy - before[i].Busy).Seconds() / age.Seconds(), Turns: float64(l.Turns-before[i].Turns) / age.Seconds(),
			LongTurns: l.LongTurns, LongestMicros: micros(l.Longest), LongestMethod: method, Posted: l.Posted,
		})
	}
}

func (s *State) methods(source *metrics.Source, before, after []peregrine.MethodStats) {
	for i := range after {
		m := after[i]
		shown := Method{Side: m.Side.String(), Method: source.MethodName(m.Method), Failed: map[string]uint64{}, Total: m.Latency.Count()}
		for code, n := range m.Codes {
			if n > 0 && peregrine.Code(code) != peregrine.OK {
				shown.Failed[metrics.CodeName(peregrine.Code(code))] = n
			}
		}
		latency := m.Latency
		same := func(b peregrine.MethodStats) bool { return b.Side == m.Side && b.Method == m.Method }
		if at := slices.IndexFunc(before, same); at >= 0 && before[at].Latency.Count() <= shown.Total {
			latency.Sub(&before[at].Latency)
		}
		shown.Rate = float64(latency.Count()) / s.Interval
		shown.P50, shown.P99 = micros(latency.Quantile(0.5)), micros(latency.Quantile(0.99))
		s.Methods = append(s.Methods, shown)
	}
	slices.SortStableFunc(s.Methods, func(a, b Method) int { return cmp.Compare(b.Rate, a.Rate) })
}

// recent adds what a flight recorder has seen: of the calls since the last state those
// that failed, and the slowest.
func (h *history) recent(ctx context.Context, source *metrics.Source, s *State) {
	r, _ := flight.Take(ctx, source.Endpoint)
	if r == nil {
		return
	}
	var fresh []*flight.Event
	seen := h.recorded
	for i := range r.Loops {
		l := &r.Loops[i]
		for k := range l.Events {
			e := &l.Events[k]
			if e.Kind != core.CallEnded && e.Kind != core.RequestAnswered || e.At <= h.recorded {
				continue
			}
			seen = max(seen, e.At)
			if e.Code != uint8(peregrine.OK) || e.At-e.Since >= slow.Nanoseconds() {
				fresh = append(fresh, e)
			}
		}
		for _, c := range l.Connections {
			s.Events = append(s.Events, Happening{time.Unix(0, c.At), c.String()})
		}
	}
	h.recorded = seen
	slices.SortFunc(fresh, func(a, b *flight.Event) int {
		failed := func(e *flight.Event) int { return min(int(e.Code), 1) }
		return cmp.Or(cmp.Compare(failed(b), failed(a)), cmp.Compare(b.At-b.Since, a.At-a.Since))
	})
	for _, e := range fresh[:min(len(fresh), mostNewCalls)] {
		c := Call{
			At: time.Unix(0, e.At), ID: e.ID.String(), Side: "client", Method: source.MethodName(int(e.Method)),
			Took: float64(e.At-e.Since) / 1e3, Status: metrics.CodeName(peregrine.Code(e.Code)),
		}
		if e.Kind == core.RequestAnswered {
			c.Side = "server"
		} else if e.Mark > e.Since {
			c.Waited = float64(e.Mark-e.Since) / 1e3
		}
		h.calls = append(h.calls, c)
	}
	slices.SortStableFunc(h.calls, func(a, b Call) int { return b.At.Compare(a.At) })
	h.calls = h.calls[:min(len(h.calls), mostCalls)]
	s.Calls = append(s.Calls, h.calls...)
	slices.SortStableFunc(s.Events, func(a, b Happening) int { return b.At.Compare(a.At) })
	s.Events = s.Events[:min(len(s.Events), mostEvents)]
}
