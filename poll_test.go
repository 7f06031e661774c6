package peregrine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const turn = time.Microsecond

// idler plays the turns of an adaptive loop in virtual time.
type idler struct {
	idleness
	now    time.Duration
	others bool // have had the CPU
}

func newIdler() *idler {
	l := &idler{now: time.Hour}
	l.idleness = idleness{worked: l.now, luck: maxLuck, preempted: func() bool {
		others := l.others
		l.others = false
		return others
	}}
	return l
}

// work plays a turn with work.
func (l *idler) work() {
	l.now += turn
	l.look(l.now)
	l.idleness.work(l.now, l.now)
}

// spin plays turns without work for so long, or until the loop blocks, and says
// for how long it spun.
func (l *idler) spin(limit time.Duration) (spun time.Duration) {
	for spun < limit {
		l.look(l.now)
		if !l.idleness.spin(l.now) {
			return spun
		}
		l.now += turn
		spun += turn
	}
	return spun
}

// gap plays what passes until there is work again; the loop spins and blocks
// meanwhile as it likes.
func (l *idler) gap(length time.Duration) {
	begun := l.now
	l.spin(length)
	l.now = begun + length
	l.work()
}

// stopped plays a spin that nothing comes of for a while, since the thread does not
// run.
func (l *idler) stopped() {
	l.spin(10 * turn)
	l.now += 3 * time.Millisecond
	l.look(l.now)
}

// interrupted plays one that others have the CPU in.
func (l *idler) interrupted() {
	l.others = true
	l.stopped()
}

// interruptedAtWork plays a turn with work that others have the CPU in.
func (l *idler) interruptedAtWork() {
	l.others = true
	began := l.now
	l.now += 3 * time.Millisecond
	l.idleness.work(began, l.now)
}

// spins says for how long the loop spins after work, if nothing comes.
func (l *idler) spins() time.Duration {
	l.work()
	return l.spin(time.Second)
}

// after plays gaps between spells of work and says how long the loop then spins.
func after(gaps ...time.Duration) time.Duration {
	l := newIdler()
	for range 50 {
		for _, gap := range gaps {
			l.gap(gap)
		}
	}
	l.now += maxShyness
	return l.spins()
}

func TestALoopSpinsForAsLongAsItPays(t *testing.T) {
	t.Parallel()
	require.Equal(t, spinLong, after(10*time.Microsecond), "busy")
	require.Equal(t, spinLong, after(130*time.Microsecond), "a peer that has to wake up each time")
	require.Equal(t, spinLong, after(10*time.Microsecond, 10*time.Microsecond, time.Millisecond), "with pauses")
	require.Equal(t, spinShort, after(time.Millisecond), "rare work")
}

func TestALoopThatOthersInterruptDoesNotSpinForAWhile(t *testing.T) {
	t.Parallel()
	l := newIdler()
	require.Equal(t, spinLong, l.spins())
	l.work()
	l.interrupted()
	require.Zero(t, l.spins(), "somebody else wants the CPU")
	l.now += minShyness
	require.Equal(t, spinLong, l.spins(), "it tries again")
	for range 20 {
		l.work()
		l.interrupted()
		require.Zero(t, l.spins())
		l.now = l.shyUntil
	}
	require.Equal(t, maxShyness, l.shyness, "each time in vain, it tries more rarely")
	l.now += 10 * maxShyness
	l.work()
	l.interrupted()
	require.Equal(t, minShyness, l.shyness, "after a long peace it is as trusting as at first")
}

func TestALoopThatIsInterruptedAtWorkDoesNotSpin(t *testing.T) {
	t.Parallel()
	l := newIdler()
	for range 100 {
		l.interruptedAtWork()
		require.Zero(t, l.spins(), "somebody else wants the CPU")
	}
	require.Equal(t, minShyness, l.shyness, "it has not tried to spin since")
	l.now += minShyness
	require.Equal(t, spinLong, l.spins(), "it tries again")
}

func TestAHostThatStopsIsNoContention(t *testing.T) {
	t.Parallel()
	l := newIdler()
	for range 10 {
		l.work()
		l.stopped()
		require.NotZero(t, l.spins(), "no other thread had the CPU")
		l.now += time.Millisecond // blocked
	}
}

func TestALoopThatKeepsItsPeerFromTheCPUDoesNotSpin(t *testing.T) {
	t.Parallel()
	l := newIdler()
	for range 2 {
		l.gap(spinLong + 20*time.Microsecond) // what it waits for comes as soon as it blocks
	}
	require.Zero(t, l.spins())
	l.now += minShyness
	require.Equal(t, spinLong, l.spins(), "it tries again")
}

func TestAPeerThatIsLateNowAndThenIsNotKeptFromTheCPU(t *testing.T) {
	t.Parallel()
	l := newIdler()
	for range 20 {
		l.gap(spinLong + 20*time.Microsecond) // its collector has run
		require.Equal(t, spinLong, l.spins(), "the next answers may come in time")
		l.now += time.Second // blocked
		l.work()
		for range 200 {
			l.gap(10 * time.Microsecond)
		}
	}
}

func TestALongHandlerIsNoInterruption(t *testing.T) {
	t.Parallel()
	l := newIdler()
	for range 10 {
		l.work()
		l.idleness.work(l.now, l.now+5*time.Millisecond) // as long as this turn took
		l.now += 5 * time.Millisecond
	}
	require.NotZero(t, l.spins())
	l.now += time.Hour // blocked
	require.NotZero(t, l.spins(), "nor is a wait")
}
