package core

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBufferClassesFitTightly(t *testing.T) {
	t.Parallel()
	for c := range numClasses {
		size := classSize(c)
		if size < 0 {
			break // more than 32 bits can address
		}
		require.Equal(t, c, class(size))
		if c < numClasses-1 && classSize(c+1) > 0 {
			require.Equal(t, c+1, class(size+1))
			require.Less(t, classSize(c+1)*4, size*5+4)
		}
	}
	require.Equal(t, 0, class(1))
	const longest = math.MaxUint32 & (math.MaxInt / 2)
	require.GreaterOrEqual(t, classSize(class(longest)), longest)
}

func TestBuffersKeepTheirAccounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := buffers{bound: rapid.Int64Range(1<<10, 1<<20).Draw(t, "bound")}
		var held [][]byte
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				b.trim()
			case 1, 2, 3:
				if len(held) > 0 {
					b.put(held[0])
					held = held[1:]
				}
			default:
				n := rapid.IntRange(1, 1<<18).Draw(t, "size")
				if buf := b.get(n); buf != nil {
					require.Len(t, buf, n)
					held = append(held, buf)
				} else {
					require.Greater(t, b.lent+int64(n), b.bound, "there was room")
				}
			}
			lent, kept := 0, 0
			for _, buf := range held {
				lent += cap(buf)
			}
			for c := range b.classes {
				for _, buf := range b.classes[c].free {
					require.GreaterOrEqual(t, cap(buf), classSize(c))
					kept += cap(buf)
				}
			}
			require.EqualValues(t, lent, b.lent)
			require.EqualValues(t, kept, b.kept)
			require.LessOrEqual(t, b.lent+b.kept, b.bound)
		}
		for _, buf := range held {
			b.put(buf)
		}
		b.trim()
		b.trim()
		require.Zero(t, b.kept)
	})
}

func TestTheLargestMessageFindsRoomInMemoryOfItsSize(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	cfg := Config{MaxMessage: 100_000, ReassemblyMemory: 100_000}
	server, client, s := pair(n, cfg)
	for _, size := range []int{50_000, 100_000, 3000, 100_000, 99_999} {
		n.echoes(s, size)
		require.LessOrEqual(t, server.buffers.kept+server.buffers.lent, int64(100_000))
	}
	n.settled(server, client)
}

func TestMemoryThatNobodyNeededForASecondIsGivenBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{ReassemblyMemory: 20 << 20, MaxMessage: 1 << 20})
	client := n.add(Config{})
	s := n.connect(client, server)
	var calls [200]Call
	for i := range calls {
		calls[i] = Call{Method: later, Request: pattern(1+i*i, byte(i))}
		n.submit(s, &calls[i])
	}
	n.run(100 * time.Millisecond)
	require.NotEmpty(t, *deferred)
	for _, r := range *deferred {
		r.Reply(r.Data)
	}
	n.run(100 * time.Millisecond)
	n.stream(s, 16, 100, 1000) // what is needed all the time stays
	require.NotZero(t, server.Stats().BytesKept)
	require.NotEmpty(t, client.slots.all)
	n.run(3 * time.Second)
	for _, d := range []*node{server, client} {
		require.Zero(t, d.Stats().BytesKept)
		require.Zero(t, d.Stats().ReassemblyBytes)
		require.Empty(t, d.requests.all)
		require.Empty(t, d.slots.all)
		require.LessOrEqual(t, len(d.controls.free), few)
		require.LessOrEqual(t, len(d.assemblies.free), few)
		require.False(t, d.tidy.timer.IsSet(), "there is nothing left to give back")
	}
	n.stream(s, 16, 100, 1000)
	n.settled(server, client)
}

func TestMemoryInUseAllTheTimeIsNotGivenBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.stream(s, 8, 100, 5000)
	allocated := len(server.requests.all)
	for range 40 {
		n.stream(s, 8, 100, 5000)
		n.run(100 * time.Millisecond)
		require.Equal(t, allocated, len(server.requests.all))
		require.Zero(t, server.requests.bare)
		require.NotZero(t, server.Stats().BytesKept)
	}
	n.settled(server, client)
}

func TestManyClientsThatAreGoneLeaveNoMemory(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{})
	last := n.add(Config{})
	stays := n.connect(last, server)
	client := n.add(Config{})
	for range 300 {
		// Each from another endpoint, so that each is a connection.
		client.restart(Config{})
		n.echoes(n.connect(client, server), 10)
	}
	n.run(5 * time.Second)
	require.Len(t, server.accepted(), 2)
	n.echoes(stays, 10)
}

func TestASerialTellsARequestFromTheNextOneInItsPlace(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{})
	client := n.add(Config{})
	s := n.connect(client, server)
	first, second := Call{Method: later, Buf: make([]byte, 1)}, Call{Method: later}
	n.submit(s, &first)
	n.run(time.Millisecond)
	r := (*deferred)[0]
	serial := r.Serial
	r.Reply([]byte{1})
	r.Reply([]byte{2})
	n.run(time.Millisecond)
	require.Equal(t, []byte{1}, first.Response)
	require.Zero(t, r.Serial)
	r.Reply(nil)
	r.Fail(Internal, "again")
	r.Defer()
	done := n.submit(s, &second)
	n.run(time.Millisecond)
	require.Same(t, r, (*deferred)[1], "it is used again")
	require.NotEqual(t, serial, r.Serial)
	require.Zero(t, *done)
}
