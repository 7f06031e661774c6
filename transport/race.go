package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// race measures which of two backends echoes faster over the loopback. It is a
// variable for tests.
var race = echoRace

const (
	raceRounds = 40
	raceBatch  = 32
	raceSize   = 48
	raceLimit  = 2 * time.Second // far more than it takes
)

// races remembers outcomes: a host does not change, and the tens of milliseconds
// are spent once.
var races struct {
	sync.Mutex
	outcome map[[2]string]outcome
}

type outcome struct {
	own, other time.Duration
	err        error
}

// echoRace returns what each backend takes for a lone datagram there and back, and a
// batch of them, at best: interference only ever adds time. Both ends of an echo are
// on one goroutine, and the backends take turns. They run twice, as loops without a
// CPU of their own use them and bound to a thread; what counts is where a does worse,
// since either may follow.
func echoRace(a, b string) (own, other time.Duration, err error) {
	races.Lock()
	defer races.Unlock()
	key := [2]string{a, b}
	o, known := races.outcome[key]
	if !known {
		o.own, o.other, o.err = run(a, b)
		if races.outcome == nil {
			races.outcome = map[[2]string]outcome{}
		}
		races.outcome[key] = o
	}
	return o.own, o.other, o.err
}

func run(a, b string) (own, other time.Duration, err error) {
	own, other, err = heat(a, b, false)
	if err != nil {
		return 0, 0, err
	}
	over := make(chan error)
	var boundOwn, boundOther time.Duration
	go func() {
		runtime.LockOSThread() // which ends with it
		var err error
		boundOwn, boundOther, err = heat(a, b, true)
		over <- err
	}()
	if err := <-over; err != nil {
		return 0, 0, err
	}
	if float64(boundOwn)/float64(boundOther) > float64(own)/float64(other) {
		return boundOwn, boundOther, nil
	}
	return own, other, nil
}

// heat is one run. With bound, the goroutine is locked to its thread.
func heat(a, b string, bound bool) (own, other time.Duration, err error) {
	first, err := newEcho(a, bound)
	if err != nil {
		return 0, 0, err
	}
	defer first.close()
	second, err := newEcho(b, bound)
	if err != nil {
		return 0, 0, err
	}
	defer second.close()
	runners := [2]*echo{first, second}
	end := time.Now().Add(raceLimit)
	for range raceRounds {
		for _, r := range runners {
			if err := errors.Join(r.lap(&r.lone, 1, end), r.lap(&r.batch, raceBatch, end)); err != nil {
				return 0, 0, err
			}
		}
	}
	return first.lone + first.batch, second.lone + second.batch, nil
}

// echo is two ends of a backend on the loopback, and the best times so far.
type echo struct {
	ends        [2]Transport
	release     []func() // from the thread
	routes      [2]Route
	tx          [raceBatch]TxPacket
	rx          [raceBatch]RxPacket
	lone, batch time.Duration
}

func newEcho(backend string, bound bool) (*echo, error) {
	d, cfg, err := ParseURL(backend + "://127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := new(echo)
	for i := range e.ends {
		if e.ends[i], err = d.Open(cfg, 0, 1); err != nil {
			e.ends[i] = nil
			e.close()
			return nil, err
		}
		if !bound {
			continue
		}
		release, err := BindThread(e.ends[i])
		if err != nil {
			e.close()
			return nil, err
		}
		e.release = append(e.release, release)
	}
	for i := range e.ends {
		r, err := e.ends[i].Resolve(e.ends[1-i].LocalAddr(), netip.Addr{})
		if err != nil {
			e.close()
			return nil, err
		}
		e.routes[i] = r
	}
	return e, nil
}

func (e *echo) close() {
	for _, release := range e.release {
		release()
	}
	for _, tr := range e.ends {
		if tr != nil {
			_ = tr.Close() // it has served
		}
	}
}

// lap sends n datagrams there and back.
func (e *echo) lap(best *time.Duration, n int, end time.Time) error {
	began := time.Now()
	for i := range e.ends {
		if err := e.pass(i, n, end); err != nil {
			return err
		}
	}
	if d := time.Since(began); *best == 0 || d < *best {
		*best = d
	}
	return nil
}

func (e *echo) pass(from, n int, end time.Time) error {
	near, far := e.ends[from], e.ends[1-from]
	tx := e.tx[:n]
	if near.Reserve(tx) != n {
		return fmt.Errorf("%s lends no buffers", near.Caps().Backend)
	}
	for i := range tx {
		tx[i].Route, tx[i].Head = e.routes[from], tx[i].Head[:raceSize]
	}
	if sent, err := near.Send(tx); err != nil || sent != n {
		return errors.Join(err, fmt.Errorf("%s took %d of %d datagrams", near.Caps().Backend, sent, n))
	}
	for have := 0; have < n; {
		k, err := far.Recv(e.rx[:])
		if err != nil {
			return err
		}
		far.Release(e.rx[:k])
		have += k
		if k == 0 && time.Now().After(end) {
			return fmt.Errorf("of %d datagrams over the loopback, %s received %d", n, far.Caps().Backend, have)
		}
	}
	return nil
}
