package conformance

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func aWakeBeforeWaitIsRemembered(_ *testing.T, p *pair) {
	defer p.near.unstick("it returns at once if Wake was called since Wait last returned")()
	for range 100 {
		p.near.Wake()
		p.near.wait(-1)
		p.near.Wake()
		p.near.Wake()
		p.near.wait(-1)
	}
	// Also with something to receive, and after a timeout.
	p.far.send(numbered(1, 10)...)
	p.near.Wake()
	p.near.Release(p.near.receive(1))
	p.near.wait(time.Microsecond)
	p.near.Wake()
	p.near.wait(-1)
}

func noWakeIsLost(t *testing.T, p *pair) {
	defer p.near.unstick("no wake-up is ever lost")()
	span := 300 * time.Millisecond
	if testing.Short() {
		span /= 3
	}
	span = max(span, *rpcSoak/100)
	require.NoError(t, hammer(p.near, 1, span))
	require.NoError(t, hammer(p.near, 4, span))
}

// hammer has wakers who publish a number, wake, and go on when they are
// answered; and an owner who answers, and waits without a timeout. A wake-up
// that is lost leaves everybody waiting.
func hammer(e *end, wakers int, span time.Duration) error {
	const lastWord = 1 << 32
	published, answered := make([]atomic.Int64, wakers), make([]atomic.Int64, wakers)
	var stop atomic.Bool
	var all sync.WaitGroup
	until := time.Now().Add(span)
	for w := range wakers {
		all.Go(func() {
			for i := 0; time.Now().Before(until) && !stop.Load(); i++ {
				n := published[w].Add(1)
				e.Wake()
				for answered[w].Load() < n && !stop.Load() {
					runtime.Gosched()
				}
				for range i % 20 { // so that the owner is met in all postures
					runtime.Gosched()
				}
			}
			published[w].Add(lastWord)
			e.Wake()
		})
	}
	var err error
	for ended := 0; ended < wakers && err == nil; {
		ended = 0
		for w := range wakers {
			n := published[w].Load()
			answered[w].Store(n)
			if n >= lastWord {
				ended++
			}
		}
		if ended < wakers {
			err = e.Wait(-1)
		}
	}
	stop.Store(true)
	all.Wait()
	return err
}
