package peregrine

import (
	"context"
	"errors"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// Side is the end of a call at which something is counted.
type Side = core.Side

// The sides of a call.
const (
	Client = core.Client
	Server = core.Server
)

// Peer is how a connection stands, and what is under way on it.
//
// Its fields are Addr; Side, what this endpoint is to the peer; RTT, the smoothed
// round trip, 0 before there is one; Window and BytesInFlight in bytes,
// PacketsInFlight in datagrams, MTU the largest datagram that is known to pass;
// Sessions, Requests (in slots of a client, or held by a server) and Queued (for a
// slot of a client's).
type Peer = core.Peer

// What stands in place of a method's number.
const (
	// OtherMethods are several methods, or those that are not told apart: of each
	// side the first 256 are, and of a server none that it has no handler for.
	OtherMethods = -1
	// NoMethod says that no handler ran.
	NoMethod = -2
)

// Snapshot is what an endpoint does and has done.
type Snapshot struct {
	Stats Stats
	Loops []LoopStats
	// Methods are those called or served so far, with [WithMetrics].
	Methods []MethodStats
	// Peers are the first of those that there are, and MorePeers the number of the
	// others.
	Peers     []Peer
	MorePeers int
}

// LoopStats is what a loop spends its time on.
type LoopStats struct {
	// Turns is how often it looked for work, and BusyTurns how often it found some.
	// LongTurns took a millisecond or longer, without what sending took.
	Turns, BusyTurns, LongTurns uint64
	// Busy is how long busy turns took, of the time since the loop began, Age. It is
	// the time that other goroutines had in between, too, where the loop has no CPU
	// of its own.
	Busy, Age time.Duration
	// Longest is the longest turn of the last 10 to 20 s, and LongestMethod the
	// method whose handler ran in it. It is OtherMethods where several did; handlers
	// are then timed each for a second, so that the next one is named.
	Longest       time.Duration
	LongestMethod int
	// Posted is what other goroutines have given it that it has not taken yet.
	Posted int
}

// MethodStats counts how calls of a method ended, at one side.
type MethodStats struct {
	Side   Side
	Method int // or OtherMethods
	// Codes counts by [Code].
	Codes [len(codeNames)]uint64
	// Latency is of a client from the call's start, with what it waited for a slot,
	// and of a server from the turn in which the request was taken in, to the end of
	// the turn in which it ended, without what sending took.
	Latency Histogram
}

// codeNames has as many entries as there are codes.
var codeNames [core.Unauthenticated + 1]struct{}

// snapshotPatience is how long a loop may take to answer Snapshot.
const snapshotPatience = 250 * time.Millisecond

// Snapshot asks the loops what they do. Of peers it returns so many, and counts the
// others. A loop that does not answer within a quarter of a second, or before ctx
// ends, is left out but for the counters of Stats, and is part of the error, which
// then matches [ErrLoopHeld]; the rest is valid. Any goroutine may call it but those
// of the endpoint's own loops, which get [ErrOnLoop] where there are others.
func (e *Endpoint) Snapshot(ctx context.Context, peers int) (Snapshot, error) {
	s := Snapshot{Stats: e.Stats()}
	total := map[[2]int]int{} // by side and method: index in s.Methods
	var errs []error
	for _, l := range e.loops {
		waiting, cancel := context.WithTimeoutCause(ctx, snapshotPatience, ErrLoopHeld)
		err := l.ask(waiting, func() { l.snapshot(&s, total, peers) })
		cancel()
		if err != nil {
			errs = append(errs, err)
		}
	}
	return s, errors.Join(errs...)
}

// snapshot adds what the loop has to s.
func (l *loop) snapshot(s *Snapshot, total map[[2]int]int, peers int) {
	held := l.occupied.held()
	now := l.now()
	s.Loops = append(s.Loops, LoopStats{
		Turns: l.occupied.turns, BusyTurns: l.occupied.busyTurns, LongTurns: l.occupied.longTurns,
		Busy: l.occupied.busy, Age: now - l.born, Longest: held.took, LongestMethod: held.method,
		Posted: l.inbox.length(),
	})
	for p := range l.engine.Peers() {
		if len(s.Peers) < peers {
			s.Peers = append(s.Peers, p)
		} else {
			s.MorePeers++
		}
	}
	if l.meter == nil {
		return
	}
	l.meter.all(func(side Side, series *series) {
		key := [2]int{int(side), series.method}
		at, known := total[key]
		if !known {
			at = len(s.Methods)
			total[key] = at
			s.Methods = append(s.Methods, MethodStats{Side: side, Method: series.method})
		}
		sum := &s.Methods[at]
		for code, n := range series.codes {
			sum.Codes[code] += n
		}
		sum.Latency.Add(&series.latency)
	})
}
