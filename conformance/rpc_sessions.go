package conformance

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/core"
)

// sessionStories: sessions share an endpoint, and do not mix.
func sessionStories(tell tell) {
	for _, count := range []int{1, 10, 100, 1000} {
		tell(fmt.Sprintf("SessionsShareAnEndpoint/%d", count), func(s *stage) {
			service := s.serve(Far, setup{})
			client := s.start(Near, setup{})
			sessions := make([]*core.Session, count)
			for i := range sessions {
				sessions[i] = client.connect(service.addr())
			}
			l := load{client: client, service: service, sessions: sessions, calls: 2000 + 2*count, together: 64, longest: 20_000}
			l.run()
			client.do(func() {
				for _, session := range sessions[1:] {
					session.Close()
				}
			})
			var open int
			s.eventually(func() bool {
				open = service.stats().Sessions
				return open <= 1
			}, func() string { return fmt.Sprintf("%d are open", open) }, "the server forgot sessions that the client closed")
			client.echoes(sessions[0], 100)
			client.do(func() { sessions[0].Close() })
			service.forgotten()
			client.idle()
		})
	}
}
