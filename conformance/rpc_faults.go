package conformance

import (
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// faultStories: what the network does to datagrams, callers do not see. Each
// side has the faults both ways, so that a datagram meets them twice. brief leaves out
// what each fault does by itself.
func faultStories(tell tell, brief bool) {
	for _, story := range []struct {
		name   string
		faults transport.Faults
	}{
		{"EveryCallIsAnswered", transport.Faults{}},
		{"WhereOneInAHundredIsLost", transport.Faults{Loss: 0.01}},
		{"WhereOneInTenIsLost", transport.Faults{Loss: 0.1}},
		{"WhereDatagramsOvertakeEachOther", transport.Faults{Reorder: 0.1}},
		{"WhereDatagramsComeTwice", transport.Faults{Duplicate: 0.1}},
		{"WhereBitsFlip", transport.Faults{Corrupt: 0.02}},
		{"WhereAllOfItHappens", transport.Faults{Loss: 0.03, Reorder: 0.05, Duplicate: 0.05, Corrupt: 0.01}},
	} {
		if alone := story.faults.Loss == 0 || story.faults.Corrupt == 0; brief && alone && story.faults != (transport.Faults{}) {
			continue
		}
		tell(story.name, func(s *stage) {
			service := s.serve(Far, setup{faults: story.faults})
			client := s.start(Near, setup{faults: story.faults})
			session := client.connect(service.addr())
			l := load{client: client, service: service, sessions: []*core.Session{session}, calls: 2000, together: 48, longest: 60_000}
			l.run()
			l.fickle = 0.3
			l.run()
			client.idle()
			near, far := client.stats(), service.stats()
			if story.faults != (transport.Faults{}) && (near.Transport.FaultsApplied == 0 || far.Transport.FaultsApplied == 0) {
				s.Errorf("no fault was met")
			}
			if story.faults.Corrupt > 0 && near.RxChecksum+far.RxChecksum+near.RxForged+far.RxForged == 0 {
				s.Errorf("bits were flipped, and no datagram was found to be damaged")
			}
		})
	}
}
