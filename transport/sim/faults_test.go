package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// through sends datagrams over a link with faults.
func through(t *testing.T, f sim.Faults, count int, server sim.HostConfig) (in *sink, st sim.PipeStats) {
	s := &star{Network: sim.New(5)}
	tor := s.Switch("tor")
	s.add(tor, sim.HostConfig{}, sim.LinkConfig{Rate: 1e9})
	in = newSink(s.add(tor, server, sim.LinkConfig{Faults: f}))
	newSource(t, s.hosts[0], in.port.LocalAddr(), count, 100)
	s.Run(time.Second)
	return in, s.down(1).Stats()
}

// places are the first bytes of what arrived: numbers, modulo 256.
func places(got []arrival) (order []byte) {
	for _, a := range got {
		order = append(order, a.data[0])
	}
	return order
}

func TestLossTakesItsShare(t *testing.T) {
	t.Parallel()
	in, st := through(t, sim.Faults{Loss: 0.1}, 20_000, sim.HostConfig{})
	require.InDelta(t, 2000, st.Lost, 150)
	require.EqualValues(t, 20_000, in.packets+int(st.Lost))
	require.EqualValues(t, in.packets, st.Packets)
}

func TestBurstsLoseTheirMeanInRuns(t *testing.T) {
	t.Parallel()
	burst := sim.Burst{Enter: 0.01, Leave: 0.1, Loss: 0.8}
	in, st := through(t, sim.Faults{Burst: burst}, 30_000, sim.HostConfig{})
	require.InDelta(t, 30_000*0.8*0.01/0.11, st.Lost, 500)
	gaps := 0
	order := places(in.got)
	for i := 1; i < len(order); i++ {
		if order[i] != order[i-1]+1 {
			gaps++
		}
	}
	require.Less(t, float64(gaps), 0.5*float64(st.Lost), "losses come together")
}

func TestADuplicateArrivesTwice(t *testing.T) {
	t.Parallel()
	in, st := through(t, sim.Faults{Duplicate: 0.2}, 5000, sim.HostConfig{})
	require.InDelta(t, 1000, st.Duplicated, 120)
	require.EqualValues(t, 5000+st.Duplicated, in.packets)
}

func TestAReorderedDatagramIsOvertaken(t *testing.T) {
	t.Parallel()
	in, st := through(t, sim.Faults{Reorder: 0.1, ReorderDelay: 10 * time.Microsecond}, 2000, sim.HostConfig{})
	require.InDelta(t, 200, st.Reordered, 60)
	late := 0
	order := places(in.got)
	for i := 1; i < len(order); i++ {
		if int8(order[i]-order[i-1]) < 0 {
			late++
		}
	}
	require.InDelta(t, st.Reordered, late, 30)
	require.Equal(t, 2000, in.packets)
}

func TestJitterSpreadsArrivals(t *testing.T) {
	t.Parallel()
	in, _ := through(t, sim.Faults{Jitter: 100 * time.Microsecond}, 2000, sim.HostConfig{})
	require.Equal(t, 2000, in.packets)
	backward := 0
	order := places(in.got)
	for i := 1; i < len(order); i++ {
		if int8(order[i]-order[i-1]) < 0 {
			backward++
		}
	}
	require.Greater(t, backward, 500)
}

func TestAChecksumKeepsDamageOut(t *testing.T) {
	t.Parallel()
	faults := sim.Faults{Corrupt: 0.1}
	in, st := through(t, faults, 5000, sim.HostConfig{})
	require.InDelta(t, 500, st.Corrupted, 90)
	require.EqualValues(t, st.Corrupted, in.port.Stats().RxMalformed)
	require.EqualValues(t, 5000-st.Corrupted, in.packets)
	require.True(t, in.port.Caps().Integrity)

	in, st = through(t, faults, 5000, sim.HostConfig{NoChecksum: true})
	require.Equal(t, 5000, in.packets)
	require.Positive(t, st.Corrupted)
	require.False(t, in.port.Caps().Integrity)
}

func TestImpossibleFaultsAreRefused(t *testing.T) {
	t.Parallel()
	n := newStar(1, 1, fast)
	for _, f := range []sim.Faults{{Loss: 2}, {Duplicate: -1}, {Reorder: 0.1}, {Jitter: -1}} {
		require.Panics(t, func() { n.down(0).SetFaults(f) }, "%+v", f)
	}
}
