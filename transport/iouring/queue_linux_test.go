package iouring

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/seccomptest"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/internal/uring"
	"github.com/peregrine-rpc/peregrine/transport"
)

const loopback = "127.0.0.1:0"

// one is the variant that is bound to a thread; anyone is not.
var one, anyone = variants[1], variants[0]

func TestARunIsOneSendAndOneReceive(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback)
		if !a.Caps().SegmentTx || !b.Caps().SegmentRx {
			return
		}
		want := append(transporttest.Numbered(63, 48), "a shorter one")
		transporttest.Send(t, a, transporttest.To(t, a, b), want...)
		require.Equal(t, want, transporttest.Texts(t, b, 64))
		require.Equal(t, uint64(1), a.Stats().TxCalls)
	})
}

func TestACallSendsAndReceives(t *testing.T) {
	t.Parallel()
	a, b := one.at(t, loopback), one.at(t, loopback)
	ab, ba := transporttest.To(t, a, b), transporttest.To(t, b, a)
	transporttest.Send(t, a, ab, "begin")
	transporttest.Texts(t, b, 1)
	const rounds = 20
	before := a.Stats()
	for range rounds {
		transporttest.Send(t, b, ba, "ping") // it is there before a calls next
		transporttest.Send(t, a, ab, "pong")
		require.Equal(t, []string{"ping"}, transporttest.Texts(t, a, 1))
		require.Equal(t, []string{"pong"}, transporttest.Texts(t, b, 1))
	}
	after := a.Stats()
	require.Equal(t, before.TxCalls+rounds, after.TxCalls)
	require.LessOrEqual(t, after.RxCalls, before.RxCalls+1, "what was there came with the sends; one call was for the first receive")
}

func TestAWakeBetweenTheDecisionToSleepAndTheSleepEndsIt(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		tr := v.at(t, loopback)
		q := inside(tr)
		if !q.async() {
			t.Skip("it sleeps on the socket")
		}
		require.NoError(t, tr.Wait(time.Millisecond)) // and is then watching what it watches
		var rouse func() bool
		if fd := q.ring.FD(); q.messages {
			rouse = func() bool { return uring.Message(fd, dataWake) == 0 }
		}
		q.waiter.Otherwise(func(timeout time.Duration) error {
			q.Wake()
			time.Sleep(time.Millisecond) // or longer: the completion comes first, most often
			return q.sleepInRing(timeout)
		}, rouse)
		began := time.Now()
		require.NoError(t, tr.Wait(time.Minute))
		require.Less(t, time.Since(began), 30*time.Second)
		q.sleeps()
	})
}

// All that was under way may complete between a Send that finds no room and the sleep
// until there is some.
func TestRoomThatThereIsBeforeTheSleepEndsIt(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback)
		q, r := inside(a), transporttest.To(t, a, b)
		if q.mode != poller {
			return // what it sends has completed when Send returns
		}
		for short := false; !short; {
			pkts := make([]transport.TxPacket, 4*flightPackets)
			n := a.Reserve(pkts)
			for i := range pkts[:n] {
				pkts[i].Route, pkts[i].Head = r, pkts[i].Head[:100]
			}
			taken, err := a.Send(pkts[:n])
			require.NoError(t, err)
			short = taken < n || n == 0
		}
		time.Sleep(100 * time.Millisecond) // all has left by now, most often
		began := time.Now()
		require.NoError(t, a.Wait(time.Minute))
		require.Less(t, time.Since(began), 30*time.Second)
	})
}

func TestAWakeThatTheKernelHasNoMemoryForEndsTheSleep(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		tr := v.at(t, loopback)
		q := inside(tr)
		if !q.async() {
			t.Skip("it sleeps on the socket")
		}
		q.waiter.Otherwise(q.sleepInRing, func() bool { return false })
		for range 20 {
			woken := make(chan error)
			go func() { woken <- tr.Wait(-1) }()
			time.Sleep(time.Millisecond) // it sleeps by now, most often
			q.Wake()
			require.NoError(t, <-woken)
		}
	})
}

func TestASleepIsNotBegunWithoutWhatEndsIt(t *testing.T) {
	t.Parallel()
	q := inside(anyone.at(t, loopback))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	release, err := q.BindThread()
	require.NoError(t, err)
	defer release()
	for e := q.ring.Next(); e != nil; e = q.ring.Next() {
		e.Poll(unix.POLLNVAL) // of no completion, nor any room, as if the kernel had taken nothing
		e.FD, e.UserData = -1, dataWake
	}
	require.NoError(t, q.Wait(-1))
	transporttest.Send(t, q, transporttest.To(t, q, q), "to itself")
	require.Equal(t, []string{"to itself"}, transporttest.Texts(t, q, 1))
}

func TestAnIdleQueueIsLookedAtWithoutASystemCall(t *testing.T) {
	t.Parallel()
	a := one.at(t, loopback)
	look := func(times int) {
		for range times {
			n, err := a.Recv(make([]transport.RxPacket, 1))
			require.NoError(t, err)
			require.Zero(t, n)
		}
	}
	look(expecting + 10)
	before := a.Stats().RxCalls
	require.EqualValues(t, expecting+1, before, "the last one asked to be told")
	look(1000)
	require.Equal(t, before, a.Stats().RxCalls)

	b := one.at(t, loopback)
	transporttest.Send(t, b, transporttest.To(t, b, a), "there")
	require.Equal(t, []string{"there"}, transporttest.Texts(t, a, 1))
	look(1)
	require.Equal(t, before+2, a.Stats().RxCalls, "when it was told, and while there may be more")
}

func TestAnOwnerThatHoldsAllItMayGetsTheNextDatagram(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback, func(c *Config) { c.GRO = false })
		r := transporttest.To(t, a, b)
		var held []transport.RxPacket
		for i := range b.Caps().RxBuffers {
			text := fmt.Sprint(i)
			transporttest.Send(t, a, r, text)
			pkts := transporttest.Receive(t, b, 1)
			require.Equal(t, text, string(pkts[0].Data))
			held = append(held, pkts...)
		}
		transporttest.Send(t, a, r, "one more")
		require.Equal(t, []string{"one more"}, transporttest.Texts(t, b, 1))
		b.Release(held)
	})
}

// Memory that was filled long ago is in no cache any more.
func TestTheKernelHasFewMoreBuffersThanAreFilled(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback, func(c *Config) { c.GRO = false })
		q, r := inside(b), transporttest.To(t, a, b)
		if q.mode == poller {
			return // its thread is asked once, and for all
		}
		for range 3 {
			transporttest.Send(t, a, r, transporttest.Numbered(60, 100)...)
			transporttest.Texts(t, b, 60)
		}
		require.GreaterOrEqual(t, q.rx.places, 32, "a burst does not take one call for each few")
		for range 4 * rxProvided {
			transporttest.Send(t, a, r, "alone")
			transporttest.Texts(t, b, 1)
		}
		require.Equal(t, rxLeast, q.rx.places)
		require.LessOrEqual(t, q.rx.provided, rxLeast)
	})
}

// One at a time and in bursts, whichever way the kernel is asked next.
func TestDatagramsKeepTheirOrder(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback)
		r, back := transporttest.To(t, a, b), transporttest.To(t, b, a)
		for i, n := range []int{1, 1, 3, 60, 1, 64, 64, 2, 1, 1, 30} {
			want := transporttest.Numbered(n, 8+300*(i%3))
			transporttest.Send(t, a, r, want...)
			transporttest.Send(t, b, back, "an answer")
			require.Equal(t, want, transporttest.Texts(t, b, n))
			require.Equal(t, []string{"an answer"}, transporttest.Texts(t, a, 1))
			for range i * expecting / 4 { // and now and then nothing for a while
				n, err := b.Recv(make([]transport.RxPacket, 1))
				require.NoError(t, err)
				require.Zero(t, n)
			}
		}
	})
}

func TestNothingIsAllocatedPerPacket(t *testing.T) {
	// Alone, because allocations are counted for the whole process; and on one
	// thread, which the decorator of the others is not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, bind := range []bool{false, true} {
		a, b := anyone.at(t, loopback), anyone.at(t, loopback)
		if bind {
			for _, tr := range []transport.Transport{a, b} {
				_, err := transport.BindThread(tr)
				require.NoError(t, err)
			}
		}
		r := transporttest.To(t, a, b)
		tx, rx := make([]transport.TxPacket, 8), make([]transport.RxPacket, 8)
		round := func() {
			a.Reserve(tx)
			for i := range tx {
				tx[i].Route, tx[i].Head, tx[i].ECN = r, tx[i].Head[:48+i%3], transport.ECT0
			}
			if n, err := a.Send(tx); n != len(tx) || err != nil {
				t.Fatal(n, err)
			}
			for have := 0; have < len(tx); {
				n, err := b.Recv(rx)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					_ = b.Wait(time.Second)
				}
				b.Release(rx[:n])
				have += n
			}
		}
		round()
		require.Zero(t, testing.AllocsPerRun(100, round))
	}
}

func TestABoundQueueRefusesOtherThreads(t *testing.T) {
	t.Parallel()
	a := one.at(t, loopback)
	q := inside(a)
	refusal := make(chan error)
	go func() {
		runtime.LockOSThread()
		_, err := q.Recv(make([]transport.RxPacket, 1))
		refusal <- err
	}()
	require.ErrorContains(t, <-refusal, "bound to the thread that called BindThread")
}

// boundHere opens a queue and binds it to a thread that goes on with then.
func boundHere(t *testing.T, then func(q *queue)) *queue {
	t.Helper()
	q := inside(anyone.at(t, loopback))
	ready := make(chan error)
	transporttest.OnThreadThatEnds(func() {
		_, err := q.BindThread()
		ready <- err
		for range expecting + 1 {
			_, _ = q.Recv(make([]transport.RxPacket, 1)) // until a request is under way
		}
		ready <- nil
		then(q)
	})
	require.NoError(t, <-ready)
	<-ready
	return q
}

// free requires that a port is free, at once.
func free(t testing.TB, addr netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}))
}

// eventuallyFree requires that the kernel lets go of a port.
func eventuallyFree(t testing.TB, addr netip.AddrPort) {
	t.Helper()
	require.Eventually(t, func() bool {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}) == nil
	}, transporttest.Patience, time.Millisecond)
}

func TestTheThreadInWaitTakesTheRingApart(t *testing.T) {
	for range 20 {
		over := make(chan error, 1)
		q := boundHere(t, func(q *queue) {
			var err error
			for err == nil {
				err = q.Wait(-1)
			}
			over <- err
		})
		require.Eventually(t, q.waiter.Asleep, transporttest.Patience, time.Microsecond)
		require.NoError(t, q.Close())
		free(t, q.LocalAddr())
		require.ErrorIs(t, <-over, transport.ErrClosed)
	}
}

func TestTheThreadThatComesByTakesTheRingApart(t *testing.T) {
	q := boundHere(t, func(q *queue) {
		for {
			if _, err := q.Recv(make([]transport.RxPacket, 1)); err != nil {
				return
			}
		}
	})
	require.NoError(t, q.Close())
	eventuallyFree(t, q.LocalAddr())
}

func TestAThreadThatDoesNotComeByIsNotWaitedFor(t *testing.T) {
	on := make(chan bool)
	q := boundHere(t, func(q *queue) {
		<-on
		_ = q.Wait(-1)
		on <- true
	})
	require.NoError(t, q.Close())
	on <- true // late
	<-on
	eventuallyFree(t, q.LocalAddr())
}

func TestAQueueWhoseThreadHasEndedSaysSoAndCloses(t *testing.T) {
	q := boundHere(t, func(*queue) {})
	require.Eventually(t, func() bool { return !alive(q.tid) }, transporttest.Patience, time.Millisecond)
	r, err := q.Resolve(q.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	_, err = q.Send(transporttest.Loaded(t, q, r, "anybody?"))
	require.ErrorContains(t, err, "has ended")
	require.NoError(t, q.Close())
	eventuallyFree(t, q.LocalAddr())
}

// Not parallel, nor are the ones above: others would be given the ports.
func TestOpeningAndClosingLeaksNothing(t *testing.T) {
	cycles := 10_000
	if testing.Short() {
		cycles = 200
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	left := func() (descriptors, mappings int) {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		maps, err := os.ReadFile("/proc/self/maps")
		require.NoError(t, err)
		return len(fds), strings.Count(string(maps), "io_uring")
	}
	c := DefaultConfig()
	c.Address, c.MTU, c.GRO = loopback, 1500, false
	c.RecvBuffer, c.SendBuffer = 1<<16, 1<<16
	time.Sleep(time.Nanosecond) // opens the runtime's poller, which stays
	descriptors, mappings := left()
	for i := range cycles {
		tr, err := Open(c, 0, 1)
		require.NoError(t, err)
		if i%2 == 0 {
			_, err := transport.BindThread(tr)
			require.NoError(t, err)
		}
		_, err = tr.Recv(make([]transport.RxPacket, 1))
		require.NoError(t, err)
		addr := tr.LocalAddr()
		require.NoError(t, tr.Close())
		free(t, addr)
	}
	fds, maps := left()
	require.Equal(t, descriptors, fds)
	require.Equal(t, mappings, maps)
}

func TestAChildProcessKeepsNoPort(t *testing.T) {
	each := func(v variant) {
		a := v.at(t, loopback)
		child := exec.Command("sleep", "60")
		require.NoError(t, child.Start())
		defer func() {
			_ = child.Process.Kill()
			_ = child.Wait()
		}()
		transporttest.Send(t, a, transporttest.To(t, a, a), "to itself")
		require.Equal(t, []string{"to itself"}, transporttest.Texts(t, a, 1))
		require.NoError(t, a.Close())
		free(t, a.LocalAddr())
	}
	each(anyone)
	each(one)
}

func TestWithoutIoUringAnErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	err := seccomptest.Refusing(unix.SYS_IO_URING_SETUP, unix.EPERM, func() error {
		_, err := Open(DefaultConfig(), 0, 1)
		return err
	})
	require.ErrorIs(t, err, transport.ErrUnavailable)
	require.ErrorContains(t, err, "seccomp")
}

func TestAQueueThatCannotBeBoundGoesOn(t *testing.T) {
	t.Parallel()
	a := anyone.at(t, loopback)
	err := seccomptest.Refusing(unix.SYS_IO_URING_SETUP, unix.EPERM, func() error { _, err := transport.BindThread(a); return err })
	require.ErrorContains(t, err, "not bound to its thread")
	transporttest.Send(t, a, transporttest.To(t, a, a), "to itself")
	require.Equal(t, []string{"to itself"}, transporttest.Texts(t, a, 1))
}

func TestNothingIsLostWhereAQueueIsBoundAndReleased(t *testing.T) {
	t.Parallel()
	a, b := anyone.at(t, loopback), anyone.at(t, loopback, func(c *Config) { c.GRO = false })
	r := transporttest.To(t, a, b)
	want := transporttest.Numbered(60, 20)
	var got []string
	for part := range 6 {
		transporttest.Send(t, a, r, want[10*part:10*part+10]...)
		got = append(got, transporttest.Texts(t, b, 1)...)
		turn := make(chan error)
		go func() { // a thread that ends
			runtime.LockOSThread()
			release, err := transport.BindThread(b)
			got = append(got, transporttest.Texts(t, b, 1)...)
			_, again := transport.BindThread(b)
			release()
			turn <- errors.Join(err, again)
		}()
		require.NoError(t, <-turn)
	}
	require.Equal(t, want, append(got, transporttest.Texts(t, b, len(want)-len(got))...))
}

func TestAReleaseAfterCloseIsLate(t *testing.T) {
	t.Parallel()
	a := anyone.at(t, loopback)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	release, err := transport.BindThread(a)
	require.NoError(t, err)
	require.NoError(t, a.Close())
	release()
	_, err = transport.BindThread(a)
	require.ErrorIs(t, err, transport.ErrClosed)
}

// More completions than the ring holds wait with the kernel, and nothing that they are
// about is lost.
func TestACompletionRingThatOverflowsLosesNothing(t *testing.T) {
	t.Parallel()
	a, b := one.at(t, loopback), one.at(t, loopback)
	q := inside(b)
	if !q.messages {
		t.Skip("completions come of its own requests only, which are fewer (Linux 6.13)")
	}
	for range 2 * completions {
		require.Zero(t, uring.Message(q.ring.FD(), dataWake))
	}
	_, err := b.Recv(make([]transport.RxPacket, 1))
	require.NoError(t, err)
	require.True(t, q.ring.Pending(), "the rest is to be asked for")
	want := transporttest.Numbered(200, 20)
	transporttest.Send(t, a, transporttest.To(t, a, b), want...)
	transporttest.Send(t, b, transporttest.To(t, b, a), want...)
	require.Equal(t, want, transporttest.Texts(t, b, len(want)))
	require.Equal(t, want, transporttest.Texts(t, a, len(want)))
	completed(t, b, uint64(len(want)))
	require.Zero(t, q.ring.Lost())
}
