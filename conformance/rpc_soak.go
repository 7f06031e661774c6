package conformance

import (
	"runtime"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	soakRound = time.Second
	// soakGrowth is by how many bytes the heap may grow after a tenth of the
	// soak: what pools hold, and which closed transports they still refer to,
	// depends on chance. A leak of a few bytes a call exceeds it in a night.
	soakGrowth = 64 << 20
	// soakKeepAlive bounds the wait for a client that was killed.
	soakKeepAlive = 5 * time.Second
)

// soakStory: one server lives through clients that come, suffer faults of their
// own for a second, and go in order or without a word.
func soakStory(s *stage, d time.Duration) {
	service := s.serve(Far, setup{Config: core.Config{KeepAlive: soakKeepAlive}})
	began := time.Now()
	told := began
	var early uint64 // heap in use
	for time.Since(began) < d {
		soakWith(s, service)
		if early == 0 && time.Since(began) > d/10 {
			early = heapInUse()
		}
		if time.Since(told) >= time.Minute {
			told = time.Now()
			stats := service.stats()
			s.Logf("%v: %d requests executed, %d MiB of heap", time.Since(began).Round(time.Second), stats.RequestsHandled, heapInUse()>>20)
		}
	}
	late := heapInUse()
	s.Logf("%d requests executed; heap %d MiB early, %d MiB late", service.stats().RequestsHandled, early>>20, late>>20)
	if late > early+soakGrowth {
		s.Errorf("the heap grew from %d to %d bytes", early, late)
	}
}

// soakWith has one client at work for a round.
func soakWith(s *stage, service *service) {
	chance := func(most float64) float64 { return most * s.rand.Float64() * float64(s.rand.IntN(2)) }
	client := s.start(Near, setup{
		Config: core.Config{NoCoalesce: s.rand.IntN(4) == 0, Checksum: s.rand.IntN(4) == 0, Slots: 1 + s.rand.IntN(64)},
		faults: transport.Faults{
			Loss: chance(0.1), Reorder: chance(0.1), Duplicate: chance(0.1), Corrupt: chance(0.02),
			Delay: time.Duration(chance(float64(2 * time.Millisecond))),
		},
	})
	sessions := make([]*core.Session, 1+s.rand.IntN(20))
	for i := range sessions {
		sessions[i] = client.connect(service.addr())
	}
	l := load{
		client: client, service: service, sessions: sessions,
		calls: 1 << 18, together: 1 + s.rand.IntN(64), longest: 1 + s.rand.IntN(200_000), fickle: chance(0.3),
	}
	l.begin()
	select {
	case <-l.over:
	case <-time.After(soakRound):
	}
	if s.rand.IntN(8) == 0 {
		client.kill()
	} else {
		client.do(func() { l.calls = l.next })
		l.wait()
		l.check()
		client.idle()
		client.close()
	}
	service.forgotten()
	l.drop()
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
