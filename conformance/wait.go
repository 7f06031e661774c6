package conformance

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// unstick says which promise the backend broke if a Wait of e blocks for too long before stop is called, and closes e,
// which ends the Wait. However long the story takes, it is not to blame for that. A Wait that even so goes on ends the
// process.
func (e *end) unstick(promise string) (stop func()) {
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		const looks = 8
		for last, since := e.turns.Load(), 0; since < looks; since++ {
			select {
			case <-over:
				return
			case <-time.After(patience / looks):
			}
			if turns := e.turns.Load(); turns != last || turns%2 == 0 {
				last, since = turns, -1
			}
		}
		said := fmt.Sprintf("Wait has been blocking for %v: %s", patience, promise)
		e.t.Errorf("%s: %+v", said, e.Stats())
		_ = e.Close()
		select {
		case <-over:
		case <-time.After(patience):
			panic(said + "; and Close did not end it")
		}
	})
	return func() {
		close(over)
		watch.Wait()
	}
}

func waitEndsWithItsTimeout(_ *testing.T, p *pair) {
	defer p.near.unstick("it returns when timeout has passed")()
	for _, timeout := range []time.Duration{0, time.Nanosecond, time.Microsecond, time.Millisecond, 20 * time.Millisecond} {
		p.near.wait(timeout)
	}
}

// waitEndsWithAnArrival has both sides sleep whenever they can: an arrival that
// wakes nobody ends it.
func waitEndsWithAnArrival(t *testing.T, p *pair) {
	const rounds = 2000
	promise := "it returns when Recv would return something"
	defer p.near.unstick(promise)()
	defer p.far.unstick(promise)()

	// What has been there before need not come again.
	p.near.send(numbered(2, 10)...)
	p.far.wait(-1)
	p.far.Release(p.far.receive(1))
	p.far.wait(-1)
	p.far.Release(p.far.receive(1))

	pass := func(e *end) error {
		tx := make([]transport.TxPacket, 1)
		if n := e.Reserve(tx); n != 1 {
			return e.Wait(-1)
		}
		tx[0].Route, tx[0].Head = e.peer, tx[0].Head[:1]
		_, err := e.Send(tx)
		return err
	}
	catch := func(e *end) error {
		rx := make([]transport.RxPacket, 1)
		for {
			n, err := e.Recv(rx)
			if n == 1 || err != nil {
				e.Release(rx[:n])
				return err
			}
			if err := e.Wait(-1); err != nil {
				return err
			}
		}
	}
	var both sync.WaitGroup
	play := func(e *end, first, then func(*end) error) {
		for range rounds {
			if !assert.NoError(t, first(e)) || !assert.NoError(t, then(e)) {
				return
			}
		}
	}
	both.Go(func() { play(p.near, pass, catch) })
	both.Go(func() { play(p.far, catch, pass) })
	both.Wait()
}

// waitEndsWhenThereIsRoom fills the near queue, if it can be filled, and makes
// room from another goroutine.
func waitEndsWhenThereIsRoom(t *testing.T, p *pair) {
	defer p.near.unstick("it returns when a full send queue has room")()
	for range 3 {
		unsent, full := p.near.fill()
		if !full {
			p.drain()
			return
		}
		received := make(chan struct{})
		go func() {
			defer close(received)
			rx := make([]transport.RxPacket, 64)
			for n, err := p.far.Recv(rx); n > 0 && err == nil; n, err = p.far.Recv(rx) {
				p.far.Release(rx[:n])
			}
		}()
		for len(unsent) > 0 {
			p.near.wait(-1)
			n, err := p.near.Send(unsent)
			require.NoError(t, err)
			p.near.taken += uint64(n)
			unsent = unsent[n:]
		}
		one := make([]transport.TxPacket, 1)
		for p.near.Reserve(one) == 0 {
			p.near.wait(-1)
		}
		p.near.load(one, numbered(1, 100))
		<-received
		p.near.push(one)
		p.drain()
	}
}

// fill sends until no more is taken, and returns what was not. Some backends
// never get there.
func (e *end) fill() (unsent []transport.TxPacket, full bool) {
	e.t.Helper()
	ds := numbered(e.Caps().TxBatch, 100)
	for range 200 {
		pkts := make([]transport.TxPacket, len(ds))
		n := e.Reserve(pkts)
		e.load(pkts[:n], ds[:n])
		taken, err := e.Send(pkts[:n])
		require.NoError(e.t, err, "a full queue is no error")
		e.taken += uint64(taken)
		if n == 0 || taken < n {
			return pkts[taken:n], true
		}
	}
	return nil, false
}
