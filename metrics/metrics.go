package metrics

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/peregrine-rpc/peregrine"
)

// Kind says how a value develops.
type Kind uint8

// Kinds of metrics.
const (
	Counter   Kind = iota // only grows
	Gauge                 // goes up and down
	Durations             // a histogram of seconds
)

// Family is one metric: values that differ by labels.
type Family struct {
	Name, Unit, Help string
	Kind             Kind
	Points           []Point
}

// Point is one value of a Family.
type Point struct {
	Labels    []Label
	Value     float64
	Histogram *peregrine.Histogram // of Durations, instead
	Exemplars []Exemplar           // of that, if the Source has any
}

// Label is what tells a value from others of its family.
type Label struct{ Name, Value string }

// Source is what is measured. Endpoint is required, the rest may be zero.
type Source struct {
	// Endpoint should have been opened with [peregrine.WithMetrics]: without it there
	// is nothing of methods.
	Endpoint *peregrine.Endpoint
	// Methods names methods. Others have their numbers for names.
	Methods map[uint16]string
	// Peers is how many peers have values of their own; 0: 100; negative: none. That
	// bounds the number of time series.
	Peers int
	// Pools are those whose queues are shown, by name.
	Pools map[string]*peregrine.Pool
	// Exemplars, if set, are linked to from the histograms.
	Exemplars *Exemplars
}

// Code names as OpenTelemetry and gRPC write them in metrics.
var codes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// CodeName is a code as metrics and spans have it, such as DEADLINE_EXCEEDED.
func CodeName(c peregrine.Code) string {
	if int(c) < len(codes) {
		return codes[c]
	}
	return strconv.Itoa(int(c))
}

// MethodName is what a method is called in labels.
func (s *Source) MethodName(method int) string {
	switch {
	case method < 0:
		return "_OTHER"
	case s.Methods[uint16(method)] != "":
		return s.Methods[uint16(method)]
	case s.Endpoint != nil && s.Endpoint.MethodName(uint16(method)) != "":
		return s.Endpoint.MethodName(uint16(method))
	}
	return strconv.Itoa(method)
}

const defaultPeers = 100

// Gather measures. The error is that of [peregrine.Endpoint.Snapshot]: what is
// returned beside it is valid, and lacks the loops that did not answer.
func (s *Source) Gather(ctx context.Context) ([]Family, error) {
	peers := s.Peers
	if peers == 0 {
		peers = defaultPeers
	}
	snapshot, err := s.Endpoint.Snapshot(ctx, max(0, peers))
	families := slices.Concat(s.ofCalls(&snapshot), ofStats(&snapshot.Stats), s.ofLoops(snapshot.Loops))
	if peers > 0 {
		families = append(families, ofPeers(&snapshot)...)
	}
	return append(families, s.ofPools()...), err
}

// family is one of a single value.
func family(kind Kind, name, unit, help string, value float64, labels ...Label) Family {
	return Family{name, unit, help, kind, []Point{{Labels: labels, Value: value}}}
}

func side(of peregrine.Side) Label { return Label{"side", of.String()} }

// ofCalls is what there is of methods.
func (s *Source) ofCalls(snapshot *peregrine.Snapshot) []Family {
	ended := Family{Name: "peregrine.calls", Unit: "{call}", Help: "Calls that completed (client) and requests that were answered (server), by status."}
	durations := map[peregrine.Side]*Family{
		peregrine.Client: {Name: "rpc.client.call.duration", Help: "From the start of a call to its completion, with what it waited for a slot."},
		peregrine.Server: {Name: "rpc.server.call.duration", Help: "From a request's arrival to its answer."},
	}
	for i := range snapshot.Methods {
		m := &snapshot.Methods[i]
		system, method := Label{"rpc.system.name", "peregrine"}, Label{"rpc.method", s.MethodName(m.Method)}
		for code, n := range m.Codes {
			if n > 0 {
				ended.Points = append(ended.Points, Point{
					Labels: []Label{side(m.Side), system, method, {"rpc.response.status_code", codes[code]}}, Value: float64(n),
				})
			}
		}
		f := durations[m.Side]
		f.Points = append(f.Points, Point{Labels: []Label{system, method}, Histogram: &m.Latency, Exemplars: s.Exemplars.list(m.Side, m.Method)})
	}
	families := []Family{ended}
	for _, which := range []peregrine.Side{peregrine.Client, peregrine.Server} {
		f := durations[which]
		f.Unit, f.Kind = "s", Durations
		families = append(families, *f)
	}
	st := &snapshot.Stats
	return append(families,
		Family{"peregrine.calls.in_flight", "{call}", "Calls under way (client) and requests held (server).", Gauge, []Point{
			{Labels: []Label{side(peregrine.Client)}, Value: float64(st.CallsStarted - st.CallsSucceeded - st.CallsFailed)},
			{Labels: []Label{side(peregrine.Server)}, Value: float64(st.RequestsHeld)},
		}},
		family(Counter, "peregrine.calls.queued", "{call}", "Calls that waited for a slot or a connection.", float64(st.CallsQueued)),
	)
}

// ofStats is what the engine and its transport count.
func ofStats(st *peregrine.Stats) []Family {
	tr := &st.Transport
	dropped := Family{Name: "peregrine.dropped", Unit: "{datagram}", Help: "Datagrams and messages that were dropped, by the layer that did and the cause."}
	for _, d := range []struct {
		layer, cause string
		n            uint64
	}{
		{"engine", "malformed", st.RxMalformed}, {"engine", "version", st.RxVersion}, {"engine", "checksum", st.RxChecksum},
		{"engine", "unknown", st.RxUnknown}, {"engine", "duplicate", st.RxDuplicate}, {"engine", "stale", st.RxStale},
		{"engine", "cookie", st.RxBadCookie}, {"engine", "reflected", st.RxReflected},
		{"transport", "truncated", tr.RxTruncated}, {"transport", "malformed", tr.RxMalformed}, {"transport", "overflow", tr.RxOverflow},
		{"transport", "too_large", tr.TxTooLarge}, {"transport", "refused", tr.TxRefused}, {"transport", "unresolved", tr.TxUnresolved},
	} {
		dropped.Points = append(dropped.Points, Point{Labels: []Label{{"layer", d.layer}, {"cause", d.cause}}, Value: float64(d.n)})
	}
	ways := func(name, unit, help string, received, sent uint64) Family {
		return Family{name, unit, help, Counter, []Point{
			{Labels: []Label{{"network.io.direction", "receive"}}, Value: float64(received)},
			{Labels: []Label{{"network.io.direction", "transmit"}}, Value: float64(sent)},
		}}
	}
	return []Family{
		dropped,
		ways("peregrine.datagrams", "{datagram}", "Datagrams, as the transport counts them.", tr.RxPackets, tr.TxPackets),
		ways("peregrine.io", "By", "Bytes of datagrams, without headers of UDP and below.", tr.RxBytes, tr.TxBytes),
		ways("peregrine.messages", "{message}", "Messages and fragments of messages in datagrams.", st.RxMessages, st.TxMessages),
		ways("peregrine.transport.calls", "{call}", "System calls, bursts or doorbells that moved datagrams.", tr.RxCalls, tr.TxCalls),
		family(Counter, "peregrine.retransmits", "{message}", "Messages and fragments sent again.", float64(st.Retransmits)),
		family(Counter, "peregrine.packets.lost", "{packet}", "Packets declared lost.", float64(st.LostPackets)),
		family(Counter, "peregrine.packets.spurious", "{packet}", "Packets declared lost that arrived after all.", float64(st.SpuriousRetransmits)),
		family(Counter, "peregrine.probes", "{probe}", "Probe timeouts: silence in which a packet was sent again.", float64(st.ProbeTimeouts)),
		family(Counter, "peregrine.requests.refused", "{request}", "Requests that the engine answered in the handler's place.", float64(st.RequestsRefused)),
		family(Counter, "peregrine.requests.duplicate", "{request}", "Requests that came again and were not executed again.", float64(st.RequestsDuplicate)),
		family(Counter, "peregrine.streams.opened", "{stream}", "Streams that were opened from here.", float64(st.StreamsOpened)),
		family(Counter, "peregrine.streams.served", "{stream}", "Streams that were handed to a handler.", float64(st.StreamsServed)),
		family(Counter, "peregrine.streams.refused", "{stream}", "Streams that the engine ended in the handler's place.", float64(st.StreamsRefused)),
		family(Gauge, "peregrine.streams", "{stream}", "Streams that are open, at either side.", float64(st.Streams)),
		family(Counter, "peregrine.sessions.expelled", "{session}", "Sessions that were ended since they were idle.", float64(st.SessionsExpelled)),
		family(Counter, "peregrine.handlers.panicked", "{handler}", "Handlers that panicked.", float64(st.HandlersPanicked)),
		family(Counter, "peregrine.peers.failed", "{peer}", "Connections given up.", float64(st.PeersFailed)),
		family(Gauge, "peregrine.peers", "{peer}", "Connections.", float64(st.Peers)),
		family(Gauge, "peregrine.sessions", "{session}", "Sessions that clients have open here.", float64(st.Sessions)),
		family(Gauge, "peregrine.memory.reassembly", "By", "Memory of requests of several packets.", float64(st.ReassemblyBytes)),
		family(Gauge, "peregrine.memory.kept", "By", "Memory of copies, and kept for those to come.", float64(st.BytesKept)),
	}
}

// ofLoops is what loops spend their time on.
func (s *Source) ofLoops(loops []peregrine.LoopStats) []Family {
	busy := Family{Name: "peregrine.loop.busy", Unit: "s", Help: "Time that a loop spent in turns that found work."}
	age := Family{Name: "peregrine.loop.age", Unit: "s", Help: "Time since the loop began."}
	turns := Family{Name: "peregrine.loop.turns", Unit: "{turn}", Help: "Turns of a loop, with or without work."}
	long := Family{Name: "peregrine.loop.turns.long", Unit: "{turn}", Help: "Turns of a millisecond or longer, in which a handler or completion held up all else."}
	longest := Family{Name: "peregrine.loop.turn.longest", Unit: "s", Help: "The longest turn of the last 10 to 20 s, and the method whose handler ran in it.", Kind: Gauge}
	posted := Family{Name: "peregrine.loop.posted", Unit: "{message}", Help: "What other goroutines gave the loop that it has not taken yet.", Kind: Gauge}
	for i := range loops {
		l := &loops[i]
		add := func(f *Family, value float64, labels ...Label) {
			f.Points = append(f.Points, Point{Labels: append([]Label{{"loop", strconv.Itoa(i)}}, labels...), Value: value})
		}
		add(&busy, l.Busy.Seconds())
		add(&age, l.Age.Seconds())
		add(&turns, float64(l.BusyTurns), Label{"work", "true"})
		add(&turns, float64(l.Turns-l.BusyTurns), Label{"work", "false"})
		add(&long, float64(l.LongTurns))
		name := "none"
		if l.LongestMethod != peregrine.NoMethod {
			name = s.MethodName(l.LongestMethod)
		}
		add(&longest, l.Longest.Seconds(), Label{"rpc.method", name})
		add(&posted, float64(l.Posted))
	}
	return []Family{busy, age, turns, long, longest, posted}
}

// ofPeers is what there is of single connections.
func ofPeers(snapshot *peregrine.Snapshot) []Family {
	list := []struct {
		name, unit, help string
		of               func(*peregrine.Peer) float64
	}{
		{"peregrine.peer.rtt", "s", "Smoothed round trip.", func(p *peregrine.Peer) float64 { return p.RTT.Seconds() }},
		{"peregrine.peer.window", "By", "How much may be in flight.", func(p *peregrine.Peer) float64 { return float64(p.Window) }},
		{"peregrine.peer.in_flight", "By", "How much is in flight.", func(p *peregrine.Peer) float64 { return float64(p.BytesInFlight) }},
		{"peregrine.peer.mtu", "By", "The largest datagram that is known to pass.", func(p *peregrine.Peer) float64 { return float64(p.MTU) }},
		{"peregrine.peer.requests", "{request}", "Requests in slots of a client, or held by a server.", func(p *peregrine.Peer) float64 { return float64(p.Requests) }},
		{"peregrine.peer.queued", "{call}", "Calls that wait for a slot.", func(p *peregrine.Peer) float64 { return float64(p.Queued) }},
		{"peregrine.peer.sessions", "{session}", "Sessions on the connection.", func(p *peregrine.Peer) float64 { return float64(p.Sessions) }},
	}
	var families []Family
	for _, m := range list {
		f := Family{Name: m.name, Unit: m.unit, Help: m.help, Kind: Gauge}
		for i := range snapshot.Peers {
			p := &snapshot.Peers[i]
			f.Points = append(f.Points, Point{Labels: []Label{{"network.peer.address", p.Addr.String()}, side(p.Side)}, Value: m.of(p)})
		}
		families = append(families, f)
	}
	return append(families, family(Gauge, "peregrine.peers.unlisted", "{peer}", "Connections without values of their own.", float64(snapshot.MorePeers)))
}

func (s *Source) ofPools() []Family {
	if len(s.Pools) == 0 {
		return nil
	}
	queued := Family{Name: "peregrine.pool.queued", Unit: "{request}", Help: "Requests that wait for a worker.", Kind: Gauge}
	capacity := Family{Name: "peregrine.pool.capacity", Unit: "{request}", Help: "Requests that may wait for a worker.", Kind: Gauge}
	names := make([]string, 0, len(s.Pools))
	for name := range s.Pools {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare)
	for _, name := range names {
		n, most := s.Pools[name].Depth()
		labels := []Label{{"pool", name}}
		queued.Points = append(queued.Points, Point{Labels: labels, Value: float64(n)})
		capacity.Points = append(capacity.Points, Point{Labels: labels, Value: float64(most)})
	}
	return []Family{queued, capacity}
}

// Bounds are those of the buckets that exporters show, in seconds: the powers of
// two from 1 µs to 17 s, which are bounds of [peregrine.Histogram], too.
var Bounds = func() (bounds []float64) {
	for shift := 10; shift <= 34; shift++ {
		bounds = append(bounds, float64(uint64(1)<<shift)/1e9)
	}
	return bounds
}()

// Cumulate counts the durations below each of Bounds, cumulatively.
func Cumulate(h *peregrine.Histogram) []uint64 {
	counts := make([]uint64, len(Bounds))
	for between, n := range h.Buckets() {
		at, _ := slices.BinarySearch(Bounds, between[1].Seconds())
		for ; at < len(counts); at++ {
			counts[at] += n
		}
	}
	return counts
}
