package cc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

func newDraining() baseRTT {
	b := newBaseRTT(DelayConfig{TargetDelay: 50 * time.Microsecond, TargetRTTs: 4}, true)
	b.learn(ms, 100*time.Microsecond)
	return b
}

// hear takes in an acknowledgement of what was just sent.
func (b *baseRTT) hear(now time.Duration, clock uint32) {
	const rtt = 200 * time.Microsecond
	b.drain(&Ack{Now: now, RTT: rtt, Sent: now - rtt, Clock: clock}, rtt, false)
}

// Two that came at different times and wait for different times begin at once.
func TestWhoHearsOneClockMakesRoomTogether(t *testing.T) {
	t.Parallel()
	begins := func(every, came time.Duration) (list []time.Duration) {
		b := newDraining()
		b.drainEvery = every
		for now := came; now < 100*ms; now += 100 * time.Microsecond {
			was := b.drainSince
			b.drainEvery = every
			b.hear(now, uint32(now/time.Microsecond)+12345)
			if was == 0 && b.drainSince != 0 {
				list = append(list, now)
			}
		}
		return list
	}
	often, rarely := begins(5*ms, 7*ms), begins(20*ms, 12300*time.Microsecond)
	require.NotEmpty(t, rarely)
	require.Greater(t, len(often), len(rarely))
	require.Subset(t, often, rarely)
}

// A pause in sending is no news that room was made, if it is from making room.
func TestMakingRoomEndsHoweverFewSamplesItLeaves(t *testing.T) {
	t.Parallel()
	b := newDraining()
	every := b.drainEvery
	now := 2 * every
	b.hear(now, 0)
	require.NotZero(t, b.drainSince)
	b.hear(now+idleLimits*b.limit+ms, 0)
	require.Zero(t, b.drainSince)
	require.Greater(t, b.drainEvery, every)
}
