package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// kinds are those of records, without those before a time.
func kinds(r *Recorder, kind RecordKind) (found []Record) {
	for _, record := range r.Records() {
		if record.Kind == kind {
			found = append(found, record)
		}
	}
	return found
}

func TestARecorderHasTheStoryOfACall(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	there, here := NewRecorder(1<<10), NewRecorder(1<<10)
	server := n.add(Config{Recorder: there})
	var held []*Request
	server.Handle(echo, func(r *Request) { r.Defer(); held = append(held, r) })
	client := n.add(Config{Recorder: here, Slots: 1})
	s := n.connect(client, server)

	// The first request is lost, and the call behind it waits for its slot.
	drops := 1
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		if drops > 0 && from == client.addr && typeOf(data) == wire.Data && holds(data, wire.Request) {
			drops--
			return true
		}
		return false
	}
	began := client.Packets().Now()
	first, second := &Call{Method: echo}, &Call{Method: echo, Timeout: 300 * time.Millisecond}
	one, two := n.submit(s, first), n.submit(s, second)
	n.until(func() bool { return len(held) == 1 })
	n.run(100 * time.Millisecond)
	require.Len(t, client.Pending(), 2)
	require.Equal(t, RequestPending, server.Pending()[0].Kind)
	held[0].Reply(nil)
	n.until(func() bool { return *one == 1 })
	n.until(func() bool { return *two == 1 })

	again := kinds(here, SentAgain)
	require.NotEmpty(t, again)
	require.Equal(t, LostProbed, again[0].Code)
	require.GreaterOrEqual(t, again[0].At-again[0].Mark, time.Millisecond, "in silence")
	ended := kinds(here, CallEnded)
	require.Len(t, ended, 2)
	require.Equal(t, ended[0].Lead.Sequence(), again[0].Lead.Sequence())
	require.Equal(t, began, ended[0].Since)
	require.Equal(t, began, ended[0].Mark, "it had a slot at once")
	require.GreaterOrEqual(t, ended[1].Mark-ended[1].Since, 100*time.Millisecond, "it waited for the slot")
	require.Equal(t, uint8(DeadlineExceeded), ended[1].Code)
	answered := kinds(there, RequestAnswered)
	require.Len(t, answered, 1)
	require.GreaterOrEqual(t, answered[0].At-answered[0].Since, 100*time.Millisecond)
	require.Equal(t, uint16(echo), answered[0].Method)

	n.fails(s, &Call{Method: echo, Timeout: -1})
	last := kinds(here, CallEnded)[2]
	require.Zero(t, last.Mark)
	require.Equal(t, uint8(DeadlineExceeded), last.Code)
	require.NoError(t, s.Close())
	n.run(50 * time.Millisecond)
	require.True(t, here.Connections()[0].Up)
	require.Equal(t, server.addr, here.Connections()[0].Peer)
	require.Equal(t, Server, there.Connections()[0].Side)
	require.False(t, there.Connections()[1].Up)
}

func TestARecorderForgetsPartOfABurst(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{})
	recorder := NewRecorder(64)
	client := n.add(Config{Recorder: recorder, Slots: 40})
	s := n.connect(client, server)
	for range 2 {
		var last *int
		for range 40 {
			last = n.submit(s, &Call{Method: echo})
		}
		n.until(func() bool { return *last == 1 })
	}
	records := recorder.Records()
	require.Len(t, records, 64)
	for i, r := range records {
		require.Equal(t, records[i/24*24].Since, r.Since, "24 of the first 40 are left")
		require.Equal(t, r.Since, r.Mark)
		require.Equal(t, CallEnded, r.Kind)
	}
	require.Less(t, records[23].Since, records[24].Since)
}

func TestARecorderKeepsTheNewest(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{})
	recorder := NewRecorder(64)
	client := n.add(Config{Recorder: recorder})
	s := n.connect(client, server)
	for range 200 {
		n.echoes(s, 10)
	}
	records := recorder.Records()
	require.Len(t, records, 64)
	for i, r := range records {
		require.Equal(t, CallEnded, r.Kind)
		require.Equal(t, uint32(200-63+i), r.Lead.Sequence())
	}
	require.Equal(t, uint64(200), recorder.Total())
	for range 2 * maxConnectionRecords {
		client.Packets().To(server.addr).Layer().(*mux).connection(true, "")
	}
	require.LessOrEqual(t, len(recorder.Connections()), maxConnectionRecords)
}
