package peregrine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

// newInbox is a loop that has nothing but its inbox.
func newInbox() *loop {
	l := &loop{}
	l.inbox.open()
	return l
}

// Many goroutines post far more than the ring holds, each a row of numbers: the loop does
// each once, and each goroutine's in order, whether they were in the ring or in the crowd.
func TestWhatAGoroutinePostsIsDoneInItsOrder(t *testing.T) {
	t.Parallel()
	const posters, each = 8, 20 * inboxCells
	l := newInbox()
	var posting sync.WaitGroup
	var latest [posters]int
	wrong := 0
	for i := range posters {
		posting.Go(func() {
			for k := range each {
				_, ok := l.inbox.put(message{do: func() {
					if latest[i]++; latest[i] != k+1 {
						wrong++
					}
				}})
				if !ok {
					t.Error("the inbox is closed")
				}
			}
		})
	}
	done := 0
	for done < posters*each {
		if l.posted() {
			l.drain()
		} else {
			runtime.Gosched()
		}
		done = 0
		for _, n := range latest {
			done += n
		}
	}
	posting.Wait()
	require.Zero(t, wrong)
	require.False(t, l.posted())
}

// Whoever posts hears whether the inbox took it, and what it took is done, also while it
// closes.
func TestWhatAClosingInboxTookIsDone(t *testing.T) {
	t.Parallel()
	for range 200 {
		l := newInbox()
		var posting sync.WaitGroup
		var took atomic.Int64
		done := int64(0)
		for range 4 {
			posting.Go(func() {
				for range inboxCells {
					if _, ok := l.inbox.put(message{do: func() { done++ }}); ok {
						took.Add(1)
					}
				}
			})
		}
		l.drain()
		l.inbox.close()
		for l.posted() {
			l.drain()
		}
		posting.Wait()
		require.False(t, l.posted(), "none comes later")
		require.Equal(t, took.Load(), done)
		_, ok := l.inbox.put(message{do: func() {}})
		require.False(t, ok)
	}
}

// A call that is taken back does not begin. One that the loop was about to look at
// completes all the same, begun or not.
func TestACallThatIsTakenBackDoesNotBeginOrCompletes(t *testing.T) {
	t.Parallel()
	l := newInbox()
	session := &core.Session{} // of which a call fails at once
	var back, completed, begun int64
	var posting sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		posting.Go(func() {
			for range 5 * inboxCells {
				done := make(chan error, 1)
				c := &core.Call{Done: func(c *core.Call) { done <- c.Err }}
				at, ok := l.inbox.put(message{session: session, call: c})
				if !ok {
					t.Error("the inbox is closed")
				}
				if l.inbox.takeBack(at) {
					atomic.AddInt64(&back, 1)
					continue
				}
				if CodeOf(<-done) == Canceled {
					atomic.AddInt64(&completed, 1)
				} else {
					atomic.AddInt64(&begun, 1)
				}
			}
		})
	}
	go func() {
		posting.Wait()
		close(stop)
	}()
	for ended := false; !ended; {
		select {
		case <-stop:
			ended = true
		default:
			runtime.Gosched()
		}
		if l.posted() {
			l.drain()
		}
	}
	require.Equal(t, int64(4*5*inboxCells), back+completed+begun)
}

// A function that ends the loop's goroutine is done with; what was posted behind it is
// done when the loop goes on.
func TestWhatIsBehindAFunctionThatDoesNotReturnIsDoneNext(t *testing.T) {
	t.Parallel()
	l := newInbox()
	var order []int
	for i := range 2 * inboxCells {
		l.inbox.put(message{do: func() {
			order = append(order, i)
			if i%100 == 50 {
				runtime.Goexit()
			}
		}})
	}
	for l.posted() {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.drain()
		}()
		<-ended
	}
	require.Len(t, order, 2*inboxCells)
	for i, n := range order {
		require.Equal(t, i, n)
	}
}

// What handing a message to a loop costs: by the inbox, beside a channel and beside a
// slice behind a mutex that the loop swaps. 64 goroutines post, each the next one when
// its last is done, and yield meanwhile.
func BenchmarkHandOver(b *testing.B) {
	type handOver struct {
		put   func(message)
		drain func(do func(*message))
	}
	ways := map[string]func() handOver{
		"inbox": func() handOver {
			l := newInbox()
			return handOver{
				func(m message) { l.inbox.put(m) },
				func(func(*message)) {
					if l.posted() {
						l.drain()
					}
				},
			}
		},
		"channel": func() handOver {
			c := make(chan message, inboxCells)
			return handOver{func(m message) { c <- m }, func(do func(*message)) {
				for range len(c) {
					m := <-c
					do(&m)
				}
			}}
		},
		"mutex": func() handOver {
			var lock sync.Mutex
			var waiting, taken []message
			var length atomic.Int32
			return handOver{func(m message) {
				lock.Lock()
				waiting = append(waiting, m)
				length.Store(int32(len(waiting)))
				lock.Unlock()
			}, func(do func(*message)) {
				if length.Load() == 0 {
					return
				}
				lock.Lock()
				taken, waiting = waiting, taken[:0]
				length.Store(0)
				lock.Unlock()
				for i := range taken {
					do(&taken[i])
				}
			}}
		},
	}
	for _, name := range []string{"inbox", "channel", "mutex"} {
		b.Run(name, func(b *testing.B) {
			way := ways[name]()
			var l loop
			const posters = 64
			left := 0
			for i := range posters {
				count := b.N/posters + min(1, max(0, b.N%posters-i))
				left += count
				go func() {
					var done atomic.Bool
					m := message{do: func() { done.Store(true); left-- }}
					for range count {
						done.Store(false)
						for way.put(m); !done.Load(); {
							runtime.Gosched()
						}
					}
				}()
			}
			for left > 0 {
				way.drain(l.do)
				runtime.Gosched()
			}
		})
	}
}
