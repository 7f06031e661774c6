package cc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

// segment is the datagram of the stories here, so that windows count in them.
const segment = 1000

// steady is a sender that always fills its window, over a path of a fixed round
// trip: a turn is all of its window, acknowledged in parts.
type steady struct {
	t   *testing.T
	c   cc.Controller
	rtt time.Duration
	now time.Duration

	flying int // datagrams
}

func newSteady(t *testing.T, rtt time.Duration, set ...func(any)) *steady {
	set = append([]func(any){func(c any) { c.(*cc.CubicConfig).InitialWindow = 10 * segment }}, set...)
	return &steady{t: t, c: factory(t, "cubic", set...)(cc.Path{Datagram: segment}), rtt: rtt, now: time.Second}
}

// window is in datagrams.
func (s *steady) window() float64 { return float64(s.c.Window()) / segment }

// turn is one round trip. Each acknowledgement is of one datagram, and what the
// window then has room for is sent.
func (s *steady) turn() {
	s.fill()
	began := s.now
	for i := range s.flying {
		s.now = began + s.rtt + time.Duration(i)*time.Nanosecond
		s.flying--
		s.c.Acked(cc.Ack{Now: s.now, Packets: 1, Bytes: segment, RTT: s.rtt, Sent: began, InFlight: s.flying * segment})
		s.fill()
	}
}

func (s *steady) fill() {
	if n := s.c.Window()/segment - s.flying; n > 0 {
		s.flying += n
		s.c.Sent(s.now, n*segment, s.flying*segment)
	}
}

func (s *steady) turns(n int) {
	for range n {
		s.turn()
	}
}

// until has turns pass until the window is at least so many datagrams.
func (s *steady) until(window float64) {
	for range 1000 {
		if s.window() >= window {
			return
		}
		s.turn()
	}
	require.Fail(s.t, "the window does not grow", "%v datagrams, not %v", s.window(), window)
}

// lose has one datagram of those in flight lost, and recovery pass.
func (s *steady) lose() {
	s.fill()
	s.flying--
	s.c.Lost(cc.Loss{Now: s.now, Bytes: segment, Sent: s.now - time.Nanosecond, InFlight: s.flying * segment})
	s.recover()
}

// recover has all that was sent before now acknowledged, and one datagram more.
func (s *steady) recover() {
	at, n := s.now, s.flying
	s.now += s.rtt
	for ; n > 0; n-- {
		s.flying--
		s.c.Acked(cc.Ack{Now: s.now, Packets: 1, Bytes: segment, RTT: s.rtt, Sent: at - s.rtt/2, InFlight: s.flying * segment})
		s.fill()
	}
	s.now += time.Nanosecond
	s.flying--
	s.c.Acked(cc.Ack{Now: s.now, Packets: 1, Bytes: segment, RTT: s.rtt, Sent: at + time.Nanosecond, InFlight: s.flying * segment})
}

// Figures computed from RFC 9438 by hand: 100 datagrams, times β = 0.7, are 70. K is
// the cube root of (100 - 70)/0.4, 4.217 s. After t seconds the window is
// 0.4 (t - K)³ + 100.
func TestCubicFollowsItsCurve(t *testing.T) {
	t.Parallel()
	s := newSteady(t, 200*time.Millisecond)
	s.until(100)
	was := s.window()
	s.lose()
	require.InDelta(t, 0.7*was, s.window(), 0.01*was)

	scale := was / 100
	require.InDelta(t, 100, was, 60, "slow start goes in steps")
	k := map[bool]float64{true: 4.217}[scale == 1]
	if k == 0 {
		k = 4.217 * cbrt(scale)
	}
	began := s.now
	for _, after := range []float64{0.5, 0.8, 1, 1.4} { // of K
		for s.now-began < time.Duration(after*k*1e9) {
			s.turn()
		}
		at := (s.now - began).Seconds() - k
		require.InDelta(t, was+0.4*at*at*at, s.window(), 0.03*was, "%v K", after)
	}
}

// On short paths Reno is faster: with α = 3 (1 - 0.7)/(1 + 0.7) = 0.529 datagrams each
// round trip up to where the window was, and one each from there (section 4.3).
func TestCubicIsAsFastAsRenoOnAShortPath(t *testing.T) {
	t.Parallel()
	s := newSteady(t, time.Millisecond)
	s.until(80)
	was := s.window()
	s.lose()
	s.turn()
	from := s.window()
	s.turns(20)
	require.InDelta(t, from+20*0.529, s.window(), 0.5)
	s.until(was + 1)
	from = s.window()
	s.turns(20)
	require.InDelta(t, from+20, s.window(), 0.8)
}

func TestCubicMakesRoomForFlowsThatCome(t *testing.T) {
	t.Parallel()
	// Two losses in a row: the second is at less than the first. The curve's plateau
	// is then at (1 + 0.7)/2 of the window at the second (section 4.7).
	plateau := func(fast bool) float64 {
		s := newSteady(t, 200*time.Millisecond, func(c any) { c.(*cc.CubicConfig).FastConvergence = fast })
		s.until(160)
		s.lose()
		was := s.window()
		s.lose()
		require.InDelta(t, 0.7*was, s.window(), 0.01*was)
		least, at := 1e9, 0.
		for range 60 {
			before := s.window()
			s.turn()
			if grown := s.window() - before; grown < least {
				least, at = grown, s.window()
			}
		}
		return at / was
	}
	require.InDelta(t, 1, plateau(false), 0.02)
	require.InDelta(t, 0.85, plateau(true), 0.02)
}

func TestCubicAnswersToLossOnceInARoundTrip(t *testing.T) {
	t.Parallel()
	s := newSteady(t, 10*time.Millisecond)
	s.until(100)
	was := s.window()
	for i := range 5 { // of what was in flight at the first
		s.c.Lost(cc.Loss{Now: s.now + time.Duration(i)*time.Millisecond, Bytes: segment, Sent: s.now, InFlight: s.c.Window() - segment})
	}
	s.now += 4 * time.Millisecond
	s.recover()
	require.InDelta(t, 0.7*was, s.window(), 0.02*was)
	s.lose() // of what was sent since
	require.InDelta(t, 0.49*was, s.window(), 0.02*was)
}

func TestCubicAnswersToAMarkAsToALoss(t *testing.T) {
	t.Parallel()
	s := newSteady(t, 10*time.Millisecond)
	s.until(100)
	was := s.window()
	for range 3 {
		s.c.Acked(cc.Ack{Now: s.now, Packets: 1, Bytes: segment, CE: 1, RTT: s.rtt, Sent: s.now - s.rtt, InFlight: s.c.Window() - segment})
	}
	s.recover()
	require.InDelta(t, 0.7*was, s.window(), 0.02*was)
}

func TestCubicTakesACutBackThatWasInVain(t *testing.T) {
	t.Parallel()
	s := newSteady(t, 10*time.Millisecond)
	s.until(100)
	was := s.window()
	s.c.Lost(cc.Loss{Now: s.now, Bytes: 2 * segment, Sent: s.now, InFlight: s.c.Window() - 2*segment})
	s.recover()
	s.c.Spurious(s.now, segment)
	require.Less(t, s.window(), 0.8*was, "one of two was lost indeed")
	s.c.Spurious(s.now, segment)
	require.InDelta(t, was, s.window(), 3)
	s.turn()
	require.Greater(t, s.window(), 1.5*was, "and slow start goes on")

	was = s.window()
	s.c.TimedOut(s.now) // the peer slept
	s.c.TimedOut(s.now + time.Second)
	require.InDelta(t, 2, s.window(), 0.1)
	s.now += 2 * time.Second
	s.c.Spurious(s.now, 32)
	require.InDelta(t, was, s.window(), 3)
}

func TestCubicStartsAgainAfterSilence(t *testing.T) {
	t.Parallel()
	s := newSteady(t, 10*time.Millisecond)
	s.until(100)
	was := s.window()
	s.c.TimedOut(s.now)
	s.recover()
	require.InDelta(t, 0.7*was, s.window(), 0.02*was, "a lost tail is one loss")
	for range 3 {
		s.now += time.Second
		s.c.TimedOut(s.now)
	}
	require.InDelta(t, 2, s.window(), 0.1)
	s.now += time.Second
	s.recover()
	s.turns(12)
	require.InDelta(t, 0.49*was, s.window(), 0.1*was, "in slow start up to the threshold")
}

func TestCubicDoesNotGrowWhatIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, congested := range []bool{false, true} {
		s := newSteady(t, 10*time.Millisecond)
		s.until(100)
		if congested {
			s.lose()
			s.turn()
		}
		was := s.window()
		for range 1000 {
			s.c.Sent(s.now, segment, segment)
			s.now += s.rtt
			s.c.Acked(cc.Ack{Now: s.now, Packets: 1, Bytes: segment, RTT: s.rtt, Sent: s.now - s.rtt})
		}
		require.InDelta(t, was, s.window(), 3)
		s.turns(2)
		if congested {
			require.InDelta(t, was, s.window(), 5, "the time did not count")
		}
	}
}

func TestCubicStartsWithItsInitialWindowAfterAPause(t *testing.T) {
	t.Parallel()
	s := newSteady(t, 10*time.Millisecond)
	s.until(100)
	s.lose()
	was := s.window()
	s.now += time.Second
	s.flying = 1
	s.c.Sent(s.now, segment, segment)
	require.InDelta(t, 10, s.window(), 0.1)
	s.turns(4)
	require.InDelta(t, was, s.window(), 0.02*was, "soon back, by slow start")
}

func TestCubicPacesOnlyOnceThereWasCongestion(t *testing.T) {
	t.Parallel()
	s := newSteady(t, 10*time.Millisecond)
	s.until(100)
	require.Zero(t, s.c.Rate())
	s.lose()
	s.turn()
	require.InDelta(t, 1.2*float64(s.c.Window())/s.rtt.Seconds(), float64(s.c.Rate()), 0.02*float64(s.c.Rate()))
	for range 3 {
		s.now += s.rtt
		s.c.Sent(s.now, 32, 32) // small calls do not fill the window
		s.c.Acked(cc.Ack{Now: s.now, Packets: 1, Bytes: 32, RTT: s.rtt, Sent: s.now})
	}
	require.Zero(t, s.c.Rate())
}

func cbrt(x float64) float64 {
	y := x
	for range 50 {
		y -= (y*y*y - x) / (3 * y * y)
	}
	return y
}
