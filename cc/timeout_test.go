package cc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was sent before a timeout measures a stall.
func TestASampleFromBeforeATimeoutSaysNothingOfThePath(t *testing.T) {
	t.Parallel()
	d := delay{baseRTT: newBaseRTT(DelayConfig{TargetDelay: 50 * time.Microsecond, TargetRTTs: 1}, false)}
	d.sample(&Ack{Now: 10 * time.Millisecond, Sent: 9900 * time.Microsecond, RTT: 100 * time.Microsecond})
	before := d
	d.silent(20 * time.Millisecond)
	stalled := d
	for range 20 {
		require.False(t, d.sample(&Ack{Now: 30 * time.Millisecond, Sent: 19 * time.Millisecond, RTT: 11 * time.Millisecond}))
	}
	require.Equal(t, stalled, d)
	require.Equal(t, before.mean, d.mean)
	d.sample(&Ack{Now: 31 * time.Millisecond, Sent: 20 * time.Millisecond, RTT: 11 * time.Millisecond})
	require.Greater(t, d.mean, before.mean, "what is sent from then on counts")
}

// So it is with all that go by delay.
func TestControllersTakeNoSampleFromBeforeATimeout(t *testing.T) {
	t.Parallel()
	path := Path{Datagram: 1200, LinkRate: 10e9}
	swift, timely := newSwift(defaultSwift())(path).(*swift), newTimely(defaultTimely())(path).(*timely)
	for _, c := range []struct {
		Controller
		*delay
	}{{swift, &swift.delay}, {timely, &timely.delay}} {
		acked := func(now, rtt time.Duration) {
			c.Sent(now-rtt, 1200, 12_000)
			c.Acked(Ack{Now: now, Sent: now - rtt, Packets: 1, Bytes: 1200, RTT: rtt, InFlight: 12_000, Datagram: 1200})
		}
		for i := range time.Duration(10) {
			acked((i+1)*time.Millisecond, 100*time.Microsecond)
		}
		mean := c.mean
		c.TimedOut(20 * time.Millisecond)
		acked(30*time.Millisecond, 11*time.Millisecond)
		require.Equal(t, mean, c.mean)
		acked(32*time.Millisecond, 11*time.Millisecond)
		require.Greater(t, c.mean, mean)
	}
}

// A timeout halves the window the first time, takes most of it when silence goes on, and slow start finds what is there.
func TestATimeoutIsFollowedByASlowStart(t *testing.T) {
	t.Parallel()
	f := newFlow(Path{Datagram: 1200}, defaultWindows())
	f.resize(120_000)
	f.starting = false
	f.TimedOut(0)
	require.True(t, f.starting)
	require.InDelta(t, 120_000*firstTimeout, f.window, 1)
	f.TimedOut(0)
	require.InDelta(t, 120_000*firstTimeout*laterTimeout, f.window, 1)
}

func TestABaseThatIsNotSeenAgainRisesByAQuarterInTenSeconds(t *testing.T) {
	t.Parallel()
	b := newBaseRTT(DelayConfig{TargetDelay: 50 * time.Microsecond, TargetRTTs: 1}, false)
	now := time.Second
	b.learn(now, 100*time.Microsecond)
	longer := func(rtt, lasting time.Duration) {
		for end := now + lasting; now < end; {
			now += 10 * time.Millisecond
			b.learn(now, rtt)
		}
	}
	longer(200*time.Microsecond, 9*time.Second)
	require.Equal(t, 100*time.Microsecond, b.base)
	longer(200*time.Microsecond, 12*time.Second)
	require.Equal(t, 125*time.Microsecond, b.base)
	longer(130*time.Microsecond, 10*time.Second)
	require.Equal(t, 130*time.Microsecond, b.base, "no further than what was seen")
	longer(200*time.Microsecond, time.Second)
	b.learn(now, 90*time.Microsecond)
	require.Equal(t, 90*time.Microsecond, b.base, "what is less counts at once")
}

// The window of a paced flow is more than it runs into, and no measure of what the
// path takes.
func TestTimelyGoesOnFromWhatWasInFlightAfterATimeout(t *testing.T) {
	t.Parallel()
	c := newTimely(defaultTimely())(Path{Datagram: 1200, LinkRate: 10e9}).(*timely)
	for i := range time.Duration(10) {
		c.Sent(i*time.Millisecond, 1200, 60_000)
		c.Acked(Ack{Now: i * time.Millisecond, Sent: i*time.Millisecond - 100*time.Microsecond, Packets: 1, Bytes: 1200, RTT: 100 * time.Microsecond, InFlight: 60_000, Datagram: 1200})
	}
	c.pace(1e9)
	require.Greater(t, c.Window(), 200_000)
	c.TimedOut(20 * time.Millisecond)
	require.Zero(t, c.Rate(), "it looks for the path's rate anew")
	require.LessOrEqual(t, c.Window(), 60_000)
	require.GreaterOrEqual(t, c.Window(), 20_000)
}
