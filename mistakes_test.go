package peregrine_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// All mistakes at once, beside callers that give up, on a bad network: whatever
// reply there is, is that of its request.
func TestMistakesOfAllKindsLeaveTheRepliesRight(t *testing.T) {
	t.Parallel()
	bad := peregrine.WithFault("loss=0.01,dup=0.01,reorder=0.02,seed=5")
	pool := peregrine.NewPool(2, 1024)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t, bad, peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute}))
	wrong := []byte("another caller's data")
	handler := func(r peregrine.Request) {
		data := r.Data()
		switch data[0] % 8 {
		case 0:
			panic("mistake")
		case 1:
			runtime.Goexit()
		case 2: // without Defer
			ended := r.Context()
			go func() {
				<-ended.Done() // it may have run before the handler returned
				r.Reply(wrong)
				r.Data()
				r.Fail(peregrine.Aborted, string(wrong))
			}()
		case 3:
			later := r.Defer()
			go func() {
				runtime.Gosched()
				later.Reply(later.Data())
				later.Reply(wrong)
				r.Reply(wrong)
			}()
		case 4:
			later := r.Defer()
			go func() {
				<-later.Context().Done() // of callers that give up
				later.Reply(wrong)
			}()
		default:
			r.Reply(data)
			r.Reply(wrong)
		}
	}
	for method, where := range map[uint16]peregrine.HandleOption{
		10: peregrine.Inline(), 11: peregrine.Go(1024), 12: peregrine.Pooled(pool),
		13: peregrine.Partition(pool, func(data []byte) uint64 { return uint64(data[1]) }),
	} {
		require.NoError(t, server.Handle(method, handler, where))
	}
	s := connect(t, server, bad, peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute}))
	var all sync.WaitGroup
	for g := range uint64(8) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(g, 0))
			for range 300 {
				request := binary.LittleEndian.AppendUint64(nil, random.Uint64())
				if random.IntN(20) == 0 {
					request = append(request, make([]byte, 1<<14)...)
				}
				kind := request[0] % 8
				ctx, cancel := context.WithCancel(context.Background())
				if kind == 4 || random.IntN(10) == 0 {
					time.AfterFunc(time.Duration(random.IntN(int(3*time.Millisecond))), cancel)
				}
				reply, err := s.Call(ctx, uint16(10+random.IntN(4)), request, nil)
				gaveUp := ctx.Err() != nil
				cancel()
				switch {
				case err == nil && (string(reply) != string(request) || kind < 3 || kind == 4):
					t.Errorf("%x, of kind %d, has the reply %.40x", request[:8], kind, reply)
				case err != nil && !gaveUp && kind >= 3:
					t.Errorf("%x, of kind %d: %v", request[:8], kind, err)
				}
			}
		})
	}
	all.Wait()
	stats := server.Stats()
	require.NotZero(t, stats.HandlersPanicked)
	require.NotZero(t, stats.RequestsMisused)
	require.Eventually(t, func() bool { return server.Stats().RequestsHeld < 100 }, time.Minute, time.Millisecond, "nothing is left behind")
}
