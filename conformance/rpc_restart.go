package conformance

import (
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// restartStories: who comes back at its old address is reached at once, and is
// not taken for what it was.
func restartStories(tell tell) {
	tell("AServerThatClosesAndReturnsIsReachedAgain", func(s *stage) {
		service, client, session := s.pair(core.Config{})
		running := client.unanswered(session, 4)
		service.holds(4)
		service.close()
		for _, f := range running {
			f.failsAs(core.Unavailable, true)
		}
		s.succeed(service)
		client.echoes(session, 100_000)
		client.idle()
	})

	tell("AServerThatDiesAndReturnsIsReachedAgain", func(s *stage) {
		service, client, session := s.pair(core.Config{})
		running := client.unanswered(session, 4)
		service.holds(4)
		service.kill()
		successor := s.succeed(service)
		// A reset tells the client, in answer to whatever it sends next.
		next := client.submit(session, core.Call{Method: echo, Request: make([]byte, 100)})
		for _, f := range running {
			f.failsAs(core.Unavailable, true)
		}
		if _, err := next.wait(); err != nil {
			next.fails(core.Unavailable)
		}
		client.echoes(session, 100_000)
		client.idle()
		successor.idle()
		// On sealed connections a reset proves nothing, and more are heard until it is believed.
		if stats := client.stats(); stats.ResetsTaken == 0 || stats.ResetsTaken > 1 && !client.sealed {
			s.Errorf("a restarted server was noticed by %d resets; it must be 1", stats.ResetsTaken)
		}
	})

	tell("AServerThatRestartsUnderLoadExecutesNothingTwice", func(s *stage) {
		service, client, session := s.pair(core.Config{})
		for round := range 3 {
			l := load{client: client, service: service, sessions: []*core.Session{session}, calls: 1 << 16, together: 32, longest: 20_000, doomed: true}
			l.begin()
			s.eventually(func() (begun bool) {
				client.do(func() { begun = l.next > 1000 })
				return begun
			}, func() string { return fmt.Sprintf("%+v", client.stats()) }, "a load made progress")
			if round == 1 {
				service.close()
			} else {
				service.kill()
			}
			service = s.succeed(service)
			l.service = service
			client.do(func() { l.calls = l.next + 1000 })
			l.wait()
			l.check()
		}
		client.idle()
	})

	tell("AClientThatDiesAndReturnsIsANewOne", func(s *stage) {
		service := s.serve(Far, setup{Config: core.Config{KeepAlive: time.Second}})
		client := s.start(Near, setup{})
		client.unanswered(client.connect(service.addr()), 4)
		service.holds(4)
		client.kill()
		successor := s.start(Near, setup{addr: client.tr.LocalAddr()})
		successor.reaches(successor.connect(service.addr()))
		service.gaveUp()
		var peers int
		s.eventually(func() bool {
			peers = service.stats().Peers
			return peers <= 1
		}, func() string { return fmt.Sprintf("it knows %d", peers) }, "the server forgot the client that died")
	})
}
