package sim_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func addrOf(h *sim.Host, port uint16) netip.AddrPort { return netip.AddrPortFrom(h.Addr(), port) }

// clock is an actor that has only deadlines.
type clock struct {
	period time.Duration
	next   time.Duration
	ticks  []time.Duration
	polls  int
	err    error
}

func (c *clock) Poll(now time.Duration) (bool, error) {
	c.polls++
	if now >= c.next {
		c.ticks = append(c.ticks, now)
		c.next = now + c.period
	}
	return false, c.err
}

func (c *clock) NextDeadline() (time.Duration, bool) { return c.next, c.period > 0 }

func TestTheClockMovesToDeadlinesAndNowhereElse(t *testing.T) {
	t.Parallel()
	n := sim.New(1)
	h := n.Host("h", sim.HostConfig{})
	c := &clock{period: time.Hour}
	h.Run(c)
	n.Run(10*time.Hour + time.Minute)
	require.Len(t, c.ticks, 11)
	require.Equal(t, 11, c.polls)
	require.Equal(t, time.Second+10*time.Hour, c.ticks[10])
	require.Equal(t, time.Second+10*time.Hour+time.Minute, n.Now())
}

func TestAnActorIsPolledForACauseOnly(t *testing.T) {
	t.Parallel()
	n := newStar(1, 3, fast)
	in, idle := newSink(n.hosts[1]), newSink(n.hosts[2])
	n.Run(time.Millisecond)
	require.Equal(t, 1, in.polls, "once when it starts")
	newSource(t, n.hosts[0], in.port.LocalAddr(), 1, 10)
	n.Run(time.Second)
	require.Equal(t, 3, in.polls, "once for the datagram, once since that was progress")
	require.Equal(t, 1, idle.polls)
	n.hosts[2].Kick()
	n.hosts[2].Kick()
	n.Run(0)
	require.Equal(t, 2, idle.polls)
}

func TestADeadlineThatHasPassedDoesNotStopTime(t *testing.T) {
	t.Parallel()
	n := sim.New(1)
	h := n.Host("h", sim.HostConfig{})
	h.Run(&stubborn{})
	n.Run(100)
	require.Equal(t, time.Second+100, n.Now())
}

// stubborn always wants to be polled at once, and never does anything.
type stubborn struct{}

func (stubborn) Poll(time.Duration) (bool, error)    { return false, nil }
func (stubborn) NextDeadline() (time.Duration, bool) { return 0, true }

func TestAPausedHostCatchesUp(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	in := newSink(n.hosts[1])
	c := &clock{period: time.Millisecond}
	n.hosts[1].Run(c)
	n.Run(0)
	n.hosts[1].Pause(10 * time.Millisecond)
	newSource(t, n.hosts[0], in.port.LocalAddr(), 5, 10)
	n.Run(9 * time.Millisecond)
	require.Zero(t, in.packets)
	require.Len(t, c.ticks, 1)
	n.Run(time.Millisecond)
	require.Equal(t, 5, in.packets)
	require.Equal(t, time.Second+10*time.Millisecond, in.last)
	n.Run(10 * time.Millisecond)
	require.Len(t, c.ticks, 12, "one when it resumed, and one each millisecond since")
}

func TestAStoppedHostStaysStoppedUntilItIsResumed(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	in := newSink(n.hosts[1])
	n.hosts[1].Pause(time.Millisecond)
	n.hosts[1].Stop()
	newSource(t, n.hosts[0], in.port.LocalAddr(), 1, 10)
	n.hosts[1].Kick()
	n.Run(time.Minute)
	require.Zero(t, in.packets)
	n.hosts[1].Resume()
	n.Run(0)
	require.Equal(t, 1, in.packets)
}

func TestASlowHostTakesItsTimeForEachDatagram(t *testing.T) {
	t.Parallel()
	const cost = time.Microsecond
	n := &star{Network: sim.New(1)}
	tor := n.Switch("tor")
	slow := newEcho(n.add(tor, sim.HostConfig{PacketCost: cost}, fast))
	client := newSink(n.add(tor, sim.HostConfig{}, fast))
	route := dial(t, client.port, slow.port.LocalAddr())
	began := n.Now()
	for range 10 {
		send(client.port, route, []byte("hello"), nil)
	}
	n.Run(time.Second)
	require.Len(t, client.got, 10)
	// All ten are received in one burst, then answered one after the other.
	for i, a := range client.got {
		require.Equal(t, 4*fast.Delay+time.Duration(10+i+1)*cost, a.at-began)
	}
}

func TestABusyActorIsPolledWhenItHasTime(t *testing.T) {
	t.Parallel()
	s := &star{Network: sim.New(1)}
	tor := s.Switch("tor")
	slow := newSink(s.add(tor, sim.HostConfig{PacketCost: 50 * time.Microsecond}, fast))
	p := s.add(tor, sim.HostConfig{}, fast).Open(1)
	route := dial(t, p, slow.port.LocalAddr())
	for i := range 3 {
		s.At(s.Now()+time.Duration(i)*time.Microsecond, func() { send(p, route, []byte("x"), nil) })
	}
	began := s.Now() + 2*fast.Delay
	s.Run(time.Second)
	require.Equal(t, []time.Duration{0, 50 * time.Microsecond, 50 * time.Microsecond},
		[]time.Duration{slow.got[0].at - began, slow.got[1].at - began, slow.got[2].at - began})
}

func TestAKilledHostFallsSilentAndStartsAgainAtTheSameAddress(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	old := newSink(n.hosts[1])
	p := n.hosts[0].Open(1)
	route := dial(t, p, old.port.LocalAddr())
	say := func(words string) {
		send(p, route, []byte(words), nil)
		n.Run(time.Millisecond)
	}
	say("one")
	n.hosts[1].Kill()
	say("two")
	require.Equal(t, []string{"one"}, text(old.got))
	require.EqualValues(t, 1, n.hosts[1].Unclaimed())
	require.NoError(t, n.hosts[1].Err())
	_, err := old.port.Recv(make([]transport.RxPacket, 1))
	require.ErrorIs(t, err, transport.ErrClosed)

	renewed := newSink(n.hosts[1])
	require.Equal(t, old.port.LocalAddr(), renewed.port.LocalAddr())
	say("three")
	require.Equal(t, []string{"three"}, text(renewed.got))
}

func TestAKilledHostsCardFinishes(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, sim.LinkConfig{Rate: 1e6})
	in := newSink(n.hosts[1])
	p := n.hosts[0].Open(1)
	payload := []byte("hello")
	for range 3 {
		send(p, dial(t, p, in.port.LocalAddr()), nil, payload)
	}
	n.hosts[0].Kill()
	copy(payload, "XXXXX")
	n.Run(time.Second)
	require.Equal(t, []string{"hello", "hello", "hello"}, text(in.got))
}

func TestAnActorThatFailsIsNotPolledAgain(t *testing.T) {
	t.Parallel()
	n := sim.New(1)
	h := n.Host("h", sim.HostConfig{})
	broken := errors.New("broken")
	c := &clock{period: time.Second, err: broken}
	h.Run(c)
	n.Run(time.Minute)
	require.Equal(t, 1, c.polls)
	require.ErrorIs(t, h.Err(), broken)
	require.ErrorContains(t, h.Err(), "host h")
}

func TestAnActorEndsWithItsPort(t *testing.T) {
	t.Parallel()
	n := newStar(1, 1, fast)
	in := newSink(n.hosts[0])
	n.Run(0)
	require.NoError(t, in.port.Close())
	require.NoError(t, in.port.Close(), "twice is no error")
	n.hosts[0].Kick()
	n.Run(time.Second)
	require.Equal(t, 1, in.polls)
	require.NoError(t, n.hosts[0].Err())
	n.hosts[0].Open(1)
}

func TestWaitingForWhatNeverComesIsAnError(t *testing.T) {
	t.Parallel()
	n := sim.New(1)
	err := n.Until(time.Second, func() bool { return false })
	require.ErrorContains(t, err, "nothing is left to happen")
	h := n.Host("h", sim.HostConfig{})
	h.Run(&clock{period: time.Minute})
	err = n.Until(time.Second, func() bool { return false })
	require.ErrorContains(t, err, "still does not hold")
	require.NoError(t, n.Until(time.Hour, func() bool { return n.Now() > 10*time.Minute }))
}

func TestAScriptRunsAtItsTimes(t *testing.T) {
	t.Parallel()
	n := sim.New(1)
	var ran []time.Duration
	for _, at := range []time.Duration{3 * time.Second, 2 * time.Second, 0} {
		n.At(at, func() { ran = append(ran, n.Now()) })
	}
	n.Run(time.Minute)
	require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, ran)
	require.False(t, n.Step())
}
