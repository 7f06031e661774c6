package conformance

import (
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// quietStory: when work ends, both sides sleep, save for keep-alives; and when
// the session closes, neither has anything left to do, ever.
func quietStory(s *stage) {
	service := s.serve(Far, setup{})
	client := s.start(Near, setup{faults: transport.Faults{Loss: 0.01, Reorder: 0.01}})
	session := client.connect(service.addr())
	l := load{client: client, service: service, sessions: []*core.Session{session}, calls: 1000, together: 64, longest: 100_000}
	l.run()
	client.idle()
	service.idle()
	if stats := client.stats(); stats.CallsSucceeded != 1000 || stats.CallsFailed != 0 {
		s.Errorf("1000 calls are counted as %d that succeeded and %d that failed", stats.CallsSucceeded, stats.CallsFailed)
	}
	client.rests()
	service.rests()
	client.heals() // a goodbye is said once, and who misses it waits for a keep-alive
	client.do(func() { session.Close() })
	service.forgotten()
	for _, h := range []*host{client, service.host} {
		var at time.Duration
		var due bool
		s.eventually(func() bool {
			h.do(func() { at, due = h.engine.NextDeadline() })
			return !due
		}, func() string { return fmt.Sprintf("in %v there is something to do", at-h.now()) },
			fmt.Sprintf("the %v side, without any connection, had nothing to wait for", h.side))
	}
}

// A loop at rest turns for a keep-alive and its answer, and may be woken for no
// reason; one that does not rest turns a thousand times as often.
const (
	restFor   = 100 * time.Millisecond
	restTurns = 20
)

// rests waits until h does next to nothing for a while.
func (h *host) rests() {
	h.s.Helper()
	var turns uint64
	h.s.eventually(func() bool {
		before := h.turns.Load()
		time.Sleep(restFor)
		turns = h.turns.Load() - before
		return turns <= restTurns
	}, func() string { return fmt.Sprintf("its loop turned %d times in %v\n%+v", turns, restFor, h.stats()) },
		fmt.Sprintf("the %v side came to rest", h.side))
}
