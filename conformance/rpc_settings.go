package conformance

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// settingStories: what changes the datagrams changes nothing for callers.
func settingStories(tell tell) {
	for _, coalesce := range []bool{true, false} {
		for _, checksum := range []bool{false, true} {
			tell(fmt.Sprintf("SettingsDoNotMatterToCallers/coalesce=%v,checksum=%v", coalesce, checksum), func(s *stage) {
				// The server has the other defaults: either side's will is done.
				service := s.serve(Far, setup{Config: core.Config{NoCoalesce: !coalesce}})
				client := s.start(Near, setup{
					Config: core.Config{NoCoalesce: !coalesce, Checksum: checksum},
					faults: transport.Faults{Loss: 0.01, Reorder: 0.01},
				})
				session := client.connect(service.addr())
				l := load{client: client, service: service, sessions: []*core.Session{session}, calls: 2000, together: 64, longest: 20_000}
				l.run()
				client.idle()
				if stats := client.stats(); !coalesce && stats.TxMessages > stats.TxData {
					s.Errorf("without coalescing, %d messages went in %d datagrams", stats.TxMessages, stats.TxData)
				}
			})
		}
	}
}
