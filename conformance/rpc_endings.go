package conformance

import (
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// endingStories: a call that does not end by its reply ends once all the same,
// says whether it may have executed, and frees what it had.
func endingStories(tell tell) {
	tell("ADeadlineEndsACall", func(s *stage) {
		service, client, session := s.pair(core.Config{})
		f := client.submit(session, core.Call{Method: ignore, Request: make([]byte, 3000), Timeout: 50 * time.Millisecond})
		f.fails(core.DeadlineExceeded)
		client.echoes(session, 100)
		client.idle()
		service.gaveUp()
		service.idle()
	})

	tell("ACancelEndsACall", func(s *stage) {
		service, client, session := s.pair(core.Config{Slots: 1})
		running := client.submit(session, core.Call{Method: ignore, Request: make([]byte, 100_000)})
		waiting := client.submit(session, core.Call{Method: ignore, Request: make([]byte, 100)})
		service.holds(1)
		running.underWay()
		waiting.underWay()
		client.do(func() { session.Cancel(&waiting.Call) })
		waiting.failsAs(core.Canceled, false)
		client.do(func() { session.Cancel(&running.Call) })
		running.failsAs(core.Canceled, true)
		service.gaveUp()
		client.echoes(session, 100)
		client.idle()
		service.idle()
	})

	tell("ClosingASessionEndsItsCalls", func(s *stage) {
		service, client, session := s.pair(core.Config{Slots: 4})
		other := client.connect(service.addr())
		running := client.unanswered(session, 4)
		service.holds(4)
		waiting := client.submit(session, core.Call{Method: echo})
		client.do(func() { session.Close() })
		for _, f := range running {
			f.failsAs(core.Canceled, true)
		}
		waiting.failsAs(core.Canceled, false)
		service.gaveUp()
		client.submit(session, core.Call{Method: echo}).failsAs(core.Canceled, false)
		client.echoes(other, 100)
		client.idle()
		service.idle()
	})

	tell("ClosingAClientEndsItsCalls", func(s *stage) {
		// Where a transport has no room for the goodbye, silence says it.
		service := s.serve(Far, setup{Config: core.Config{KeepAlive: 2 * time.Second}})
		client := s.start(Near, setup{})
		session := client.connect(service.addr())
		running := client.unanswered(session, 4)
		service.holds(4)
		long := client.submit(session, core.Call{Method: echo, Request: make([]byte, longestMessage)})
		client.close()
		for _, f := range append(running, long) {
			f.fails(core.Canceled)
		}
		service.gaveUp()
		service.forgotten()
	})

	tell("ATransportThatEndsFailsAllCalls", func(s *stage) {
		service, client, session := s.pair(core.Config{})
		running := client.unanswered(session, 4)
		service.holds(4)
		client.do(func() { // so that the owner is in no method; by another goroutine than its own
			closed := make(chan error)
			go func() { closed <- client.tr.Close() }()
			if err := <-closed; err != nil {
				s.Errorf("Close of the transport: %v", err)
			}
		})
		for _, f := range running {
			if _, err := f.wait(); err == nil {
				s.Errorf("a call that nobody answered succeeded")
			}
		}
	})
}

// pair starts a service and a client with a session to it.
func (s *stage) pair(cfg core.Config) (*service, *host, *core.Session) {
	s.Helper()
	service := s.serve(Far, setup{Config: cfg})
	client := s.start(Near, setup{Config: cfg})
	return service, client, client.connect(service.addr())
}

// unanswered makes count calls that the service ignores.
func (h *host) unanswered(session *core.Session, count int) []*flight {
	h.s.Helper()
	flights := make([]*flight, count)
	for i := range flights {
		flights[i] = h.submit(session, core.Call{Method: ignore, Request: make([]byte, 1+i*2000)})
	}
	return flights
}
