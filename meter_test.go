package peregrine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// metering is a meter of a loop that serves some methods.
func metering(methods int) *meter {
	l := &loop{handlers: map[uint16]Handler{}}
	for m := range methods {
		l.handlers[uint16(m)] = func(Request) {}
	}
	return &meter{loop: l}
}

func TestAMeterTellsSoManyMethodsApart(t *testing.T) {
	t.Parallel()
	m := metering(maxSeries + 10)
	ended := m.ended()
	for method := range 1 << 16 {
		ended(Server, uint16(method), Unimplemented, 0, 1)
	}
	m.turned(time.Second)
	count, others := 0, uint64(0)
	m.all(func(side Side, s *series) {
		require.Equal(t, Server, side)
		count++
		if s.method == OtherMethods {
			others = s.codes[Unimplemented]
		}
	})
	require.Equal(t, maxSeries+1, count)
	require.Equal(t, uint64(1<<16-maxSeries), others)
	require.LessOrEqual(t, len(m.series[Server]), maxSeries, "what nobody handles takes no room")
}

func TestMeteringAllocatesNothing(t *testing.T) {
	m := metering(3)
	ended := m.ended()
	burst := func() {
		for i := range 64 {
			ended(Server, uint16(i%3), OK, time.Microsecond, 1)
		}
		m.turned(time.Millisecond)
	}
	burst()
	require.Zero(t, testing.AllocsPerRun(100, burst))
}

func TestRunsOfATurnAreTimedEach(t *testing.T) {
	t.Parallel()
	m := metering(3)
	ended := m.ended()
	for _, since := range []time.Duration{10, 10, 20, 10, 30, 30} { // ns
		ended(Client, 1, OK, since, 1)
	}
	ended(Client, 2, OK, 10, 1)
	m.turned(30)
	ended(Client, 1, OK, 30, 1)
	m.turned(40)
	one, other := &m.series[Client][1].latency, &m.series[Client][2].latency
	require.Equal(t, time.Duration(3*20+10+0+0+10), one.Sum())
	require.Equal(t, uint64(7), one.Count())
	require.Equal(t, time.Duration(20), other.Sum())
	require.Equal(t, uint64(1), other.Count())
}
