package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/wire"
)

// says has a connection take in what its peer might have sent.
func (m *mux) says(messages ...wire.Message) {
	var b []byte
	for i := range messages {
		h := messages[i].MessageHeader
		head := make([]byte, h.HeaderSize())
		h.Put(head, len(messages[i].Body))
		b = append(append(b, head...), messages[i].Body...)
	}
	m.Take(b)
}

// ofStream is a message of a stream of a session that nobody else uses.
func ofStream(kind wire.Kind, index, use uint16, sequence uint32, body []byte) wire.Message {
	return wire.Message{MessageHeader: wire.MessageHeader{
		Kind: kind, Session: 9, Generation: 1, Slot: index, Method: use, Sequence: sequence,
	}, Body: body}
}

func fragmentOf(m wire.Message, total, index uint32) wire.Message {
	m.Flags |= wire.FlagFragment
	m.Total, m.Index, m.Stride = total, index, wire.MinFragment
	m.Body = pattern(wire.MinFragment, byte(index))
	return m
}

func TestAStreamThatBreaksTheRulesEndsAndHarmsNobody(t *testing.T) {
	t.Parallel()
	for _, hostile := range []struct {
		name     string
		messages []wire.Message
		served   int
		ends     bool
	}{
		{"more than was granted", []wire.Message{ofStream(wire.StreamData, 0, 1, 16+4096, nil)}, 1, true},
		{"a fragment beyond what was granted", []wire.Message{fragmentOf(ofStream(wire.StreamData, 0, 1, 16, nil), 60_000, 9)}, 1, true},
		{"longer than may be", []wire.Message{fragmentOf(ofStream(wire.StreamData, 0, 1, 16, nil), 100_001, 0)}, 1, true},
		{"messages that overlap", []wire.Message{
			ofStream(wire.StreamData, 0, 1, 1000, pattern(500, 1)), ofStream(wire.StreamData, 0, 1, 1400, nil)}, 1, true},
		{"messages that overlap, the other way round", []wire.Message{
			ofStream(wire.StreamData, 0, 1, 1400, nil), ofStream(wire.StreamData, 0, 1, 1000, pattern(500, 1))}, 1, true},
		{"a message that a header runs into", []wire.Message{
			ofStream(wire.StreamData, 1, 1, 20, nil), ofStream(wire.StreamHeader, 1, 1, talking, []byte("0123456789"))}, 1, false},
		{"no header", []wire.Message{ofStream(wire.StreamData, 1, 1, 0, []byte("hello"))}, 1, false},
		{"a grant of everything", []wire.Message{ofStream(wire.StreamWindow, 0, 1, 1<<31-1, nil)}, 1, false},
		{"a grant of what was granted", []wire.Message{ofStream(wire.StreamWindow, 0, 1, 0, nil)}, 1, false},
		{"a use that is over", []wire.Message{ofStream(wire.StreamHeader, 0, 0xFFFF, talking, nil)}, 1, false},
		{"no use", []wire.Message{ofStream(wire.StreamHeader, 0, 0, talking, nil)}, 1, false},
		{"another use", []wire.Message{ofStream(wire.StreamHeader, 0, 2, talking, nil)}, 2, true},
		{"an index that there is not", []wire.Message{ofStream(wire.StreamHeader, 4, 1, talking, nil)}, 1, false},
		{"no such method", []wire.Message{ofStream(wire.StreamHeader, 3, 1, 1<<16+99, nil)}, 1, false},
		{"a reset of what never was", []wire.Message{
			ofStream(wire.StreamReset, 2, 1, 0, nil), ofStream(wire.StreamHeader, 2, 1, talking, nil)}, 1, false},
		{"what follows the end", []wire.Message{
			ofStream(wire.StreamEnd, 0, 1, 16, nil), ofStream(wire.StreamData, 0, 1, 32, nil)}, 1, false},
	} {
		t.Run(hostile.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, 1)
			server, client, s, served := talks(n, Config{Streams: 4, StreamWindow: 4 << 10, MaxMessage: 100_000}, true)
			good := talk(s, Stream{Method: talking})
			n.run(time.Millisecond)
			bad := muxOf(server.onlyClient())
			bad.says(ofStream(wire.StreamHeader, 0, 1, talking, nil))
			bad.says(hostile.messages...)
			n.run(time.Millisecond)
			require.Len(t, *served, 1+hostile.served)
			require.Equal(t, hostile.ends, (*served)[1].ended == 1)
			server.checkAccounts(0, 0)
			good.says(t, "is heard")
			(*served)[0].Receive()
			n.run(time.Millisecond)
			require.Equal(t, []string{"is heard"}, (*served)[0].got)
			good.Reset(Canceled, "")
			bad.says(wire.Message{MessageHeader: wire.MessageHeader{Kind: wire.CloseSession, Session: 9, Generation: 1}})
			n.run(time.Millisecond)
			require.Zero(t, server.streaming)
			require.Zero(t, server.buffers.lent+server.buffers.copies)
			n.settled(server, client)
		})
	}
}

// A peer holds no more of a server's memory than it was granted and one message a
// stream, however it cuts what it sends.
func TestWhatStreamsHoldIsBounded(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{Streams: 100, StreamWindow: 4 << 10, MaxMessage: 100_000, ReassemblyMemory: 300_000})
	server.listens(talking, true)
	bad := muxOf(server.onlyClient())
	for index := range uint16(100) {
		bad.says(ofStream(wire.StreamHeader, index, 1, talking, nil), fragmentOf(ofStream(wire.StreamData, index, 1, 16, nil), 100_000, 0))
		for at := uint32(100_048); at < 200_000; at += 16 {
			bad.says(ofStream(wire.StreamData, index, 1, at, nil))
		}
		server.checkAccounts(0, 0)
		n.react()
	}
	require.LessOrEqual(t, server.buffers.lent+server.buffers.copies, int64(300_000))
	n.echoes(s, 1000)
	bad.says(wire.Message{MessageHeader: wire.MessageHeader{Kind: wire.CloseSession, Session: 9, Generation: 1}})
	n.settled(server, client)
}

// What a client sends on streams is bounded though its server grants without measure
// and acknowledges nothing.
func TestAServerThatGrantsEverythingDoesNotFillItsClient(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	// All is sent at once: in another order the server may end a stream that brings more
	// than it granted.
	server, client, s := pair(n, Config{
		StreamWindow: 4 << 10, StreamMemory: 16 << 10, KeepAlive: time.Minute, Controller: cc.None(cc.DefaultWindow),
	})
	server.listens(talking, false)
	var all []*talker
	for range 10 {
		all = append(all, talk(s, Stream{Method: talking}))
	}
	n.run(time.Millisecond)
	n.partition()
	for _, u := range all {
		grant := ofStream(wire.StreamWindow, u.names.index, u.names.use, 1<<30, nil)
		grant.Session, grant.Generation = s.index, s.generation
		s.mux.says(grant)
		for more := true; more; {
			more, _ = u.Send(pattern(1000, 1))
		}
	}
	require.LessOrEqual(t, s.mux.queued, 16<<10+10*(4<<10+1000))
	n.heal()
	n.run(time.Second)
	for _, u := range all {
		require.Equal(t, 1, u.sent)
		u.Reset(Canceled, "")
	}
	n.settled(server, client)
}

func TestOnlyWhatWasLostOfAStreamIsSentAgain(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{}, false)
	u := talk(s, Stream{Method: talking})
	n.run(100 * time.Millisecond) // also the probes of the MTU
	lost := false
	before := client.Stats()
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		first := from == client.addr && !lost && holds(data, wire.StreamData)
		lost = lost || first
		return first
	}
	more, err := u.Send(pattern(10_000, 1))
	require.NoError(t, err)
	require.True(t, more)
	n.run(100 * time.Millisecond)
	require.True(t, lost)
	require.Len(t, (*served)[0].got, 1)
	require.Equal(t, before.Retransmits+1, client.Stats().Retransmits)
	u.Reset(Canceled, "")
	n.settled(server, client)
}

// It would wait for ever for a header that has no place any more.
func TestAStreamThatBeginsWithoutAHeaderIsReset(t *testing.T) {
	t.Parallel()
	for name, first := range map[string][]wire.Message{
		"whole": {ofStream(wire.StreamData, 1, 1, 0, []byte("hello"))},
		"in fragments": {
			fragmentOf(ofStream(wire.StreamData, 1, 1, 0, nil), 1024, 0), fragmentOf(ofStream(wire.StreamData, 1, 1, 0, nil), 1024, 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, 1)
			server, _, _ := pair(n, Config{})
			served := server.listens(talking, true)
			m := muxOf(server.onlyClient())
			m.says(ofStream(wire.StreamHeader, 0, 1, talking, nil))
			m.says(first...)
			n.run(time.Millisecond)
			require.Len(t, *served, 1)
			require.Equal(t, 1, server.servedStreams)
			require.EqualValues(t, 1, server.Stats().StreamsRefused)
		})
	}
}
