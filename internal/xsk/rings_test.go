package xsk

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// These rings lie in plain memory, and the test is the kernel.

// words are what both sides share, beside the entries.
type words struct{ producer, consumer, flags uint32 }

func plain[E uint64 | Desc](size int) (ring[E], *words) {
	w := &words{}
	return ring[E]{&w.producer, &w.consumer, &w.flags, make([]E, size), uint32(size - 1)}, w
}

func plainProducer(size int) (*Producer[uint64], *words) {
	r, w := plain[uint64](size)
	return &Producer[uint64]{ring: r}, w
}

func plainConsumer(size int) (*Consumer[uint64], *words) {
	r, w := plain[uint64](size)
	return &Consumer[uint64]{ring: r}, w
}

// consume takes at most n entries as the kernel does.
func consume[E uint64 | Desc](r *ring[E], n int) (entries []E) {
	for ; n > 0 && *r.consumer != atomic.LoadUint32(r.producer); n-- {
		entries = append(entries, r.entries[*r.consumer&r.mask])
		atomic.StoreUint32(r.consumer, *r.consumer+1)
	}
	return entries
}

// produce adds an entry as the kernel does, or says that there is no room.
func produce[E uint64 | Desc](r *ring[E], e E) bool {
	if *r.producer-atomic.LoadUint32(r.consumer) == uint32(len(r.entries)) {
		return false
	}
	r.entries[*r.producer&r.mask] = e
	atomic.StoreUint32(r.producer, *r.producer+1)
	return true
}

func TestAnEntryIsSeenOnlyWhenItIsPublished(t *testing.T) {
	t.Parallel()
	r, _ := plainProducer(4)
	r.Put(7)
	require.Empty(t, consume(&r.ring, 9))
	require.Zero(t, r.Left())
	r.Publish()
	require.Equal(t, 1, r.Left())
	require.Equal(t, []uint64{7}, consume(&r.ring, 9))
	require.Zero(t, r.Left())
}

func TestAFullRingHasNoRoom(t *testing.T) {
	t.Parallel()
	r, _ := plainProducer(4)
	for i := range 4 {
		require.Equal(t, 4-i, r.Room())
		r.Put(0)
	}
	require.Zero(t, r.Room(), "what is not published takes room too")
	r.Publish()
	require.Zero(t, r.Room())
	consume(&r.ring, 3)
	require.Equal(t, 3, r.Room())
}

func TestAnEntryStaysUntilItIsFreed(t *testing.T) {
	t.Parallel()
	r, _ := plainConsumer(2)
	require.Zero(t, r.Available())
	require.True(t, produce(&r.ring, 1) && produce(&r.ring, 2))
	require.Equal(t, 2, r.Available())
	require.EqualValues(t, 1, r.Take())
	require.EqualValues(t, 2, r.Take())
	require.Zero(t, r.Available())
	require.False(t, produce(&r.ring, 3), "both are still read")
	r.Free()
	require.True(t, produce(&r.ring, 3))
	require.Equal(t, 1, r.Available())
	require.EqualValues(t, 3, r.Take())
}

func TestTheKernelMayAskToBeWoken(t *testing.T) {
	t.Parallel()
	r, w := plainProducer(2)
	require.False(t, r.NeedsWakeup())
	w.flags = needWakeup
	require.True(t, r.NeedsWakeup())
}

// startAt has a ring begin near the end of what a word counts, where it wraps.
const startAt = ^uint32(0) - 5

func TestEntriesArriveInOrderAlsoWhereTheCountWraps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := 1 << rapid.IntRange(0, 4).Draw(t, "size")
		out, w := plainProducer(size)
		*w = words{producer: startAt, consumer: startAt}
		out.next, out.published, out.consumed = startAt, startAt, startAt
		in, w := plainConsumer(size)
		*w = words{producer: startAt, consumer: startAt}
		in.next, in.returned, in.arrived = startAt, startAt, startAt

		var sent, echoed, seen uint64
		for range 60 {
			for range min(out.Room(), rapid.IntRange(0, 9).Draw(t, "put")) {
				out.Put(sent)
				sent++
			}
			if rapid.Bool().Draw(t, "publish") {
				out.Publish()
			}
			for range rapid.IntRange(0, 9).Draw(t, "echo") {
				if *in.producer-*in.consumer == uint32(size) {
					break
				}
				for _, e := range consume(&out.ring, 1) {
					require.Equal(t, echoed, e)
					require.True(t, produce(&in.ring, e))
					echoed++
				}
			}
			for range min(in.Available(), rapid.IntRange(0, 9).Draw(t, "take")) {
				require.Equal(t, seen, in.Take())
				seen++
			}
			if rapid.Bool().Draw(t, "free") {
				in.Free()
			}
			require.LessOrEqual(t, seen, echoed)
		}
	})
}

// Under the race detector this fails if publication orders nothing.
func TestOneSideProducesWhileTheOtherConsumes(t *testing.T) {
	t.Parallel()
	const n = 20_000
	out, _ := plainProducer(8)
	in, _ := plainConsumer(4)
	go func() { // the kernel echoes
		for done := 0; done < n; runtime.Gosched() {
			for _, e := range consume(&out.ring, 3) {
				for !produce(&in.ring, e) {
					runtime.Gosched()
				}
				done++
			}
		}
	}()
	for sent, seen := uint64(0), uint64(0); seen < n; runtime.Gosched() {
		for range min(out.Room(), n-int(sent)) {
			out.Put(sent)
			sent++
		}
		out.Publish()
		for range in.Available() {
			require.Equal(t, seen, in.Take())
			seen++
		}
		in.Free()
	}
}

func TestTheLastFrameIsTakenFirst(t *testing.T) {
	t.Parallel()
	u := &Umem{frameSize: 2048}
	f := u.Frames(4, 3)
	require.EqualValues(t, 4*2048, f.Take())
	require.EqualValues(t, 5*2048, f.Take())
	f.Put(4*2048 + 256)
	require.EqualValues(t, 4*2048, f.Take(), "any address in a frame gives it back")
	require.Equal(t, 1, f.Len())
	require.EqualValues(t, 6*2048, f.Take())
}

func TestARequestForAChecksumLiesInFrontOfThePacket(t *testing.T) {
	t.Parallel()
	u := &Umem{bytes: make([]byte, 4096), frameSize: 2048}
	d := Desc{Addr: 2048 + 100, Len: 60}
	u.RequestChecksum(&d, 34, 6)
	want := make([]byte, Metadata)
	binary.NativeEndian.PutUint64(want, 2)      // XDP_TXMD_FLAGS_CHECKSUM
	binary.NativeEndian.PutUint16(want[8:], 34) // csum_start
	binary.NativeEndian.PutUint16(want[10:], 6) // csum_offset
	require.Equal(t, want, u.Bytes(d.Addr-Metadata, Metadata))
	require.Equal(t, Desc{Addr: 2048 + 100, Len: 60, Options: 2}, d) // XDP_TX_METADATA
	require.Equal(t, make([]byte, 60), u.Bytes(d.Addr, 60))
}

func TestWhatIsAheadIsSeenWithoutTakingIt(t *testing.T) {
	t.Parallel()
	r, _ := plainConsumer(4)
	for i := range 3 {
		require.True(t, produce(&r.ring, uint64(7+i)))
	}
	require.Equal(t, 3, r.Available())
	require.EqualValues(t, 9, r.PeekAt(2))
	require.EqualValues(t, 7, r.Take())
	require.EqualValues(t, 9, r.PeekAt(1))
}

func TestARunIsTakenAndPutAsOne(t *testing.T) {
	t.Parallel()
	u := &Umem{frameSize: 4096}
	f := u.Runs(4, 2, 4)
	require.EqualValues(t, 4*4096, f.Take())
	require.EqualValues(t, 8*4096, f.Take())
	f.Put(8*4096 + 3*4096 + 17)
	require.EqualValues(t, 8*4096, f.Take())
}
