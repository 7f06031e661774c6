package uring

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// These rings lie in plain memory, and the test is the kernel.

func plainSQ(size int, array bool) (*sq, *kernelSQ) {
	k := &kernelSQ{}
	q := &sq{head: &k.head, tail: &k.tail, flags: &k.flags, entries: make([]SQE, size), mask: uint32(size - 1)}
	if array {
		q.array = make([]uint32, size)
	}
	k.q = q
	return q, k
}

type kernelSQ struct {
	head, tail, flags uint32
	q                 *sq
}

// consume takes at most n requests as the kernel does.
func (k *kernelSQ) consume(n int) (data []uint64) {
	for ; n > 0 && k.head != atomic.LoadUint32(&k.tail); n-- {
		i := k.head & k.q.mask
		if k.q.array != nil {
			i = k.q.array[i]
		}
		data = append(data, k.q.entries[i].UserData)
		atomic.StoreUint32(&k.head, k.head+1)
	}
	return data
}

func TestARequestIsSeenOnlyWhenItIsPublished(t *testing.T) {
	t.Parallel()
	q, kernel := plainSQ(4, false)
	q.Next().UserData = 7
	require.Empty(t, kernel.consume(9))
	require.Equal(t, 1, q.Queued())
	require.EqualValues(t, 1, q.flush())
	require.Zero(t, q.Queued())
	require.Equal(t, []uint64{7}, kernel.consume(9))
	require.Zero(t, q.flush())
}

func TestAFullRingOfRequestsGivesNoEntry(t *testing.T) {
	t.Parallel()
	q, kernel := plainSQ(4, false)
	for range 4 {
		require.NotNil(t, q.Next())
	}
	require.Nil(t, q.Next())
	q.flush()
	require.Nil(t, q.Next(), "the kernel has not taken any")
	kernel.consume(1)
	require.NotNil(t, q.Next())
	require.Nil(t, q.Next())
}

func TestAnEntryIsZeroedBeforeItIsUsedAgain(t *testing.T) {
	t.Parallel()
	q, kernel := plainSQ(1, false)
	*q.Next() = SQE{Opcode: OpSendMsg, Flags: FixedFile, Off: 1, Addr: 2, Index: 3, Addr3: 4}
	q.flush()
	kernel.consume(1)
	require.Equal(t, SQE{}, *q.Next())
}

// startAt has a ring begin near the end of what a word counts, where it wraps.
const startAt = ^uint32(0) - 5

func TestRequestsArriveInOrderAlsoWhereTheCountWraps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q, kernel := plainSQ(1<<rapid.IntRange(0, 4).Draw(t, "size"), rapid.Bool().Draw(t, "array"))
		kernel.head, kernel.tail = startAt, startAt
		q.next, q.published, q.freed = startAt, startAt, startAt
		var sent, seen uint64
		for range 60 {
			for range rapid.IntRange(0, 9).Draw(t, "fill") {
				if e := q.Next(); e != nil {
					e.UserData = sent
					sent++
				}
			}
			if rapid.Bool().Draw(t, "publish") {
				q.flush()
			}
			for _, data := range kernel.consume(rapid.IntRange(0, 9).Draw(t, "consume")) {
				require.Equal(t, seen, data)
				seen++
			}
		}
		q.flush()
		require.EqualValues(t, sent-seen, len(kernel.consume(99)))
	})
}

func plainCQ(size int) (*cq, *kernelCQ) {
	k := &kernelCQ{}
	q := &cq{head: &k.head, tail: &k.tail, overflow: &k.overflow, entries: make([]CQE, size), mask: uint32(size - 1)}
	k.q = q
	return q, k
}

type kernelCQ struct {
	head, tail, overflow uint32
	q                    *cq
}

// post adds a completion, or says that there is no room.
func (k *kernelCQ) post(data uint64) bool {
	if k.tail-atomic.LoadUint32(&k.head) == uint32(len(k.q.entries)) {
		return false
	}
	k.q.entries[k.tail&k.q.mask] = CQE{UserData: data}
	atomic.StoreUint32(&k.tail, k.tail+1)
	return true
}

func TestCompletionsStayUntilTheyAreFreed(t *testing.T) {
	t.Parallel()
	q, kernel := plainCQ(2)
	require.False(t, q.Arrived())
	require.Nil(t, q.Completion())
	require.True(t, kernel.post(1) && kernel.post(2))
	require.True(t, q.Arrived())
	one, two := q.Completion(), q.Completion()
	require.Nil(t, q.Completion())
	require.False(t, q.Arrived())
	require.False(t, kernel.post(3), "both are still read")
	require.Equal(t, []uint64{1, 2}, []uint64{one.UserData, two.UserData})
	q.Free()
	require.True(t, kernel.post(3))
	require.EqualValues(t, 3, q.Completion().UserData)
}

func TestCompletionsArriveInOrderAlsoWhereTheCountWraps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q, kernel := plainCQ(1 << rapid.IntRange(0, 4).Draw(t, "size"))
		kernel.head, kernel.tail = startAt, startAt
		q.next, q.returned, q.arrived = startAt, startAt, startAt
		var posted, seen uint64
		for range 60 {
			for range rapid.IntRange(0, 9).Draw(t, "post") {
				if kernel.post(posted) {
					posted++
				}
			}
			for range rapid.IntRange(0, 9).Draw(t, "read") {
				arrived := q.Arrived()
				e := q.Completion()
				require.Equal(t, arrived, e != nil)
				if e != nil {
					require.Equal(t, seen, e.UserData)
					seen++
				}
			}
			if rapid.Bool().Draw(t, "free") {
				q.Free()
			}
		}
	})
}

// Under the race detector this fails if publication orders nothing.
func TestOneSideProducesWhileTheOtherConsumes(t *testing.T) {
	t.Parallel()
	const n = 20_000
	submit, kernelSubmit := plainSQ(8, false)
	complete, kernelComplete := plainCQ(4)
	go func() { // the kernel echoes
		for done := 0; done < n; {
			for _, data := range kernelSubmit.consume(3) {
				for !kernelComplete.post(data) {
					runtime.Gosched()
				}
				done++
			}
			runtime.Gosched()
		}
	}()
	for sent, seen := uint64(0), uint64(0); seen < n; {
		if sent < n {
			if e := submit.Next(); e != nil {
				e.UserData = sent
				sent++
			}
		}
		submit.flush()
		for e := complete.Completion(); e != nil; e = complete.Completion() {
			require.Equal(t, seen, e.UserData)
			seen++
		}
		complete.Free()
		runtime.Gosched()
	}
}

func plainBuffers(size int) *Buffers {
	return &Buffers{entries: make([]bufferEntry, size), mask: uint32(size - 1)}
}

// word takes apart what lies beside the tail.
func word(w uint32) (number, tail uint16) {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], w)
	return binary.NativeEndian.Uint16(b[:]), binary.NativeEndian.Uint16(b[2:])
}

func TestABufferIsSeenOnlyWhenItIsPublished(t *testing.T) {
	t.Parallel()
	b := plainBuffers(4)
	b.Add(100, 10, 7)
	b.Add(200, 20, 8)
	_, tail := word(b.entries[0].last)
	require.Zero(t, tail)
	require.Equal(t, 2, b.Added())
	b.Publish()
	number, tail := word(b.entries[0].last)
	require.EqualValues(t, 7, number)
	require.EqualValues(t, 2, tail)
	require.Equal(t, bufferEntry{200, 20, beside(8, 0)}, b.entries[1])
	require.Zero(t, b.Added())
}

func TestTheTailSurvivesEveryNumberInTheFirstPlace(t *testing.T) {
	t.Parallel()
	b := plainBuffers(2)
	b.next, b.published = 65534, 65534
	for i := range uint16(10) {
		b.Add(uint64(i), 1, 40000+i)
		_, tail := word(b.entries[0].last)
		require.Equal(t, b.published, tail, "adding does not publish")
		b.Publish()
		number, tail := word(b.entries[0].last)
		require.Equal(t, 65534+i+1, tail, "also where the count wraps")
		if i%2 == 0 {
			require.Equal(t, 40000+i, number)
		}
	}
}
