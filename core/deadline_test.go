package core

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

func TestADeadlineThatHasPassedOnArrivalKeepsTheHandlerFromBeginning(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	// The last fragment comes when the time that the first one brought is over.
	n.late = func(_, _ netip.AddrPort, data []byte) time.Duration {
		var h wire.Header
		var m wire.Message
		if rest, err := h.Parse(data); err == nil && len(rest) > 0 {
			if _, err = m.Parse(rest); err == nil && m.Kind == wire.Request && m.Index == 2 {
				return 2 * time.Millisecond
			}
		}
		if holds(data, wire.Cancel) {
			return 10 * time.Millisecond
		}
		return 0
	}
	err := n.fails(s, &Call{Method: echo, Request: pattern(4000, 1), Timeout: time.Millisecond})
	require.Equal(t, DeadlineExceeded, err.Code)
	n.run(5 * time.Millisecond)
	require.Zero(t, server.Stats().RequestsHandled)
	require.EqualValues(t, 1, server.Stats().RequestsRefused)
	n.late = nil
	n.settled(server, client)
}

func TestADeadlineThatIsNotReachedChangesNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, _, s := pair(n, Config{})
	for _, size := range []int{0, 100, 1190, 1400, 50_000} {
		c := Call{Method: echo, Request: pattern(size, 1), Buf: make([]byte, 0, size), Timeout: 2 * time.Hour}
		n.call(s, &c)
		require.NoError(t, c.Err)
		require.Equal(t, c.Request, c.Response)
		require.False(t, c.deadline.IsSet(), "its timer is left")
	}
}

func TestACallThatExpiresBeforeItIsSentDoesNotExecute(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	c := Call{Method: echo, Timeout: time.Millisecond}
	done := n.submit(s, &c)
	client.host.Pause(2 * time.Millisecond)
	n.run(time.Second)
	require.Equal(t, 1, *done)
	require.Equal(t, DeadlineExceeded, failure(t, &c).Code)
	require.False(t, failure(t, &c).MayHaveExecuted)
	require.Zero(t, server.Stats().RequestsHandled)
	n.settled(server, client)
}

func TestCancelFreesTheSlot(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{Slots: 1})
	client := n.add(Config{})
	s := n.connect(client, server)
	first := Call{Method: later}
	second := Call{Method: echo, Request: []byte("second"), Buf: make([]byte, 6)}
	third := Call{Method: echo}
	n.submit(s, &first)
	done := n.submit(s, &second)
	n.submit(s, &third)
	n.run(time.Millisecond)
	require.Zero(t, *done)
	s.Cancel(&third)
	require.ErrorIs(t, third.Err, &Error{Code: Canceled})
	require.False(t, failure(t, &third).MayHaveExecuted, "it had no slot yet")
	s.Cancel(&first)
	require.True(t, failure(t, &first).MayHaveExecuted)
	n.run(time.Millisecond)
	require.Equal(t, 1, *done)
	require.NoError(t, second.Err)
	(*deferred)[0].Reply(nil)
	n.settled(server, client)
}

func TestALongDeadlineArrivesAsItIs(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.add(Config{}), n.add(Config{})
	var until time.Duration
	server.Handle(echo, func(r *Request) {
		until = r.Deadline
		r.Reply(nil)
	})
	s := n.connect(client, server)
	for timeout, travels := range map[time.Duration]bool{
		time.Hour: true, 24 * time.Hour: true, 20 * 24 * time.Hour: true, 25 * 24 * time.Hour: false,
		math.MaxInt64: false, math.MaxInt64 - time.Second: false,
	} {
		until = 0
		began := n.Now()
		c := Call{Method: echo, Timeout: timeout}
		n.call(s, &c)
		require.NoError(t, c.Err)
		if travels {
			require.InDelta(t, began+timeout, until, float64(time.Millisecond), "%v", timeout)
		} else {
			require.Zero(t, until, "%v", timeout)
		}
	}
	n.settled(server, client)
}

func TestAVeryLongDeadlineStillPasses(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _ := n.slowServer(Config{KeepAlive: 24 * time.Hour})
	client := n.add(Config{KeepAlive: 24 * time.Hour})
	s := n.connect(client, server)
	days := time.Duration(30)
	if testing.Short() {
		days = 1
	}
	c := Call{Method: never, Timeout: days * 24 * time.Hour}
	done := n.submit(s, &c)
	n.run(c.Timeout - time.Second)
	require.Zero(t, *done)
	n.run(time.Second)
	require.Equal(t, DeadlineExceeded, failure(t, &c).Code)
}

// timeouts notes those of a kind of messages that a client sends, of which the first is lost; 0 is of one without.
func (n *network) timeouts(client *node, kind wire.Kind) *[]time.Duration {
	var all []time.Duration
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		var h wire.Header
		rest, err := h.Parse(data)
		if err != nil || h.Type != wire.Data || from != client.addr {
			return false
		}
		var m wire.Message
		for len(rest) > 0 {
			rest, err = m.Parse(rest)
			require.NoError(n.t, err)
			if m.Kind == kind {
				timeout := time.Duration(0)
				if m.Flags&wire.FlagDeadline != 0 {
					timeout = wire.DecodeTimeout(m.Deadline)
				}
				all = append(all, timeout)
			}
		}
		return len(all) == 1 // the first is lost
	}
	return &all
}

func TestADeadlineIsNearerWhenTheRequestIsSentAgain(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, client, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	for _, size := range []int{10, 1400} { // copied and lent
		timeouts := n.timeouts(client, wire.Request)
		began := n.Now()
		c := Call{Method: echo, Request: pattern(size, 1), Timeout: 50 * time.Millisecond}
		n.call(s, &c)
		require.NoError(t, c.Err)
		took := n.Now() - began
		require.Len(t, *timeouts, 2)
		require.InDelta(t, 50*time.Millisecond, (*timeouts)[0], float64(time.Microsecond))
		require.InDelta(t, 50*time.Millisecond-took+2*n.delay, (*timeouts)[1], float64(time.Millisecond/10))
	}
}

func TestADeadlineIsOneCallsAndNotTheNextOnesOfItsSlot(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, client, s := pair(n, Config{Slots: 1})
	n.run(10 * time.Millisecond)
	n.call(s, &Call{Method: echo, Request: pattern(10, 1), Timeout: 50 * time.Millisecond})
	timeouts := n.timeouts(client, wire.Request)
	c := Call{Method: echo, Request: pattern(10, 1)}
	n.call(s, &c)
	require.NoError(t, c.Err)
	require.Equal(t, []time.Duration{0, 0}, *timeouts)
}

func TestAStreamsDeadlineIsNearerWhenItsHeaderIsSentAgain(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{}, false)
	for i, timeout := range []time.Duration{50 * time.Millisecond, wire.MaxTimeout, wire.MaxTimeout + 1, 0} {
		n.run(10 * time.Millisecond)
		travels := timeout > 0 && timeout <= wire.MaxTimeout
		timeouts := n.timeouts(client, wire.StreamHeader)
		began := n.Now()
		u := talk(s, Stream{Method: talking, Timeout: timeout})
		n.until(func() bool { return len(*served) > i })
		took := n.Now() - began
		require.Len(t, *timeouts, 2, "%v", timeout)
		v := (*served)[i]
		if travels {
			require.InDelta(t, timeout, (*timeouts)[0], float64(2*time.Millisecond), "%v", timeout)
			require.InDelta(t, timeout-took+n.delay, (*timeouts)[1], float64(time.Millisecond), "%v", timeout)
			require.InDelta(t, began+timeout, v.Deadline, float64(time.Millisecond), "%v", timeout)
		} else {
			require.Equal(t, []time.Duration{0, 0}, *timeouts, "%v", timeout)
			require.Zero(t, v.Deadline)
		}
		n.drop = nil
		u.Reset(Canceled, "")
	}
	n.settled(server, client)
}
