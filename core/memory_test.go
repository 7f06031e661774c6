package core

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These tests measure the whole process's heap, so they run alone.

func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// perSession is the bound on the heap of an idle session, on each side.
const perSession = 4 << 10

func TestIdleSessionsAreSmall(t *testing.T) {
	for _, use := range []struct {
		name         string
		count, bound int // bytes a side
		with         func(n *network, s *Session)
	}{
		{"opened", 20_000, perSession, func(*network, *Session) {}},
		{"one call", 20_000, perSession, func(n *network, s *Session) { n.echoes(s, 100) }},
		{"64 calls at once", 2000, perSession, func(n *network, s *Session) { n.stream(s, 64, 64, 100) }},
		// Every slot ever used costs each side 16 bytes for good.
		{"256 calls at once", 500, perSession, func(n *network, s *Session) { n.stream(s, 256, 256, 100) }},
	} {
		count := use.count
		if testing.Short() {
			count = min(count, 500)
		}
		n := newNetwork(t, 1)
		server, client, first := pair(n, Config{})
		n.echoes(first, 100)
		use.with(n, first) // what the network keeps
		n.run(2 * time.Second)
		before := inUse()
		sessions := make([]*Session, count)
		for i := range sessions {
			sessions[i] = n.connect(client, server)
			use.with(n, sessions[i])
		}
		n.run(2 * time.Second)
		each := (inUse() - before) / count
		t.Logf("%s: %d bytes for both sides", use.name, each)
		require.LessOrEqual(t, each, 2*use.bound, use.name)
		n.echoes(sessions[count-1], 100)

		for _, s := range sessions {
			s.Close()
		}
		n.run(2 * time.Second)
		require.LessOrEqual(t, server.Stats().Sessions, 1)
		clear(sessions)
		kept := (inUse() - before) / count
		t.Logf("%s: %d bytes kept after closing", use.name, kept)
		require.LessOrEqual(t, kept, 1<<10, use.name)
		runtime.KeepAlive(n)
		runtime.KeepAlive(first)
		runtime.KeepAlive(sessions)
	}
}

// perStream is the bound on the heap of an idle stream, on each side.
const perStream = 1 << 10

func TestIdleStreamsAreSmall(t *testing.T) {
	const count = 10_000
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	served := server.listens(talking, false)
	warm := talk(s, Stream{Method: talking})
	warm.says(t, "a")
	n.run(2 * time.Second)
	before := inUse()
	all := make([]*talker, count)
	for i := range all {
		all[i] = talk(s, Stream{Method: talking})
		all[i].says(t, "hello")
	}
	n.run(time.Second)
	require.Len(t, *served, 1+count)
	for _, v := range (*served)[1:] {
		require.Len(t, v.got, 1)
		v.says(t, "hello")
	}
	n.run(2 * time.Second)
	each := (inUse() - before) / count
	t.Logf("%d bytes for both sides, with their users", each)
	require.LessOrEqual(t, each, 2*perStream)
	for _, u := range all {
		u.Reset(Canceled, "")
	}
	warm.Reset(Canceled, "")
	n.run(4 * time.Second)
	*served = nil
	clear(all)
	kept := (inUse() - before) / count
	t.Logf("%d bytes kept after their end", kept)
	require.LessOrEqual(t, kept, 200, "an index that was used costs each side 16 bytes")
	n.settled(server, client)
	runtime.KeepAlive(n)
	runtime.KeepAlive(all)
}

func TestIdleConnectionsAreSmall(t *testing.T) {
	const count = 20_000
	n := newNetwork(t, 1)
	server := n.add(Config{KeepAlive: 24 * time.Hour})
	clients := n.byHand(server)
	before := inUse()
	for i := range count {
		n.secrets = n.secrets[:0]
		clients.join(uint16(1 + i))
	}
	require.Len(t, server.accepted(), count)
	n.run(20 * time.Second) // the clients never acknowledge the probes of the MTU
	each := (inUse() - before) / count
	t.Logf("%d bytes a connection", each)
	require.LessOrEqual(t, each, perSession)
	runtime.KeepAlive(n)
}

func TestAnIdleEndpointGivesMemoryBack(t *testing.T) {
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.echoes(s, 10)
	n.run(2 * time.Second)
	before := inUse() - n.BufferBytes()
	n.stream(s, 200, 2000, 20_000)
	n.run(2 * time.Second)
	kept := inUse() - n.BufferBytes() - before
	t.Logf("%d bytes kept", kept)
	require.Zero(t, server.Stats().ReassemblyBytes)
	require.Zero(t, server.Stats().BytesKept)
	require.LessOrEqual(t, kept, 1<<19)
	n.settled(server, client)
}

func TestABurstOfUploadsLeavesNoMemory(t *testing.T) {
	const size, bound = 4 << 20, 32 << 20
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{ReassemblyMemory: bound})
	client := n.add(Config{})
	s := n.connect(client, server)
	n.echoes(s, 10)
	n.run(3 * time.Second)
	before := inUse()
	for range 2 {
		request := pattern(size, 1)
		var calls [24]Call
		var done [24]*int
		for i := range calls {
			calls[i] = Call{Method: later, Request: request[:size-i*100_000]}
			done[i] = n.submit(s, &calls[i])
		}
		ended := 0
		n.until(func() bool {
			require.LessOrEqual(t, server.buffers.lent+server.buffers.kept+server.buffers.copies, int64(bound))
			for _, r := range *deferred {
				r.Reply(nil)
			}
			*deferred = nil
			ended = 0
			for i := range done {
				ended += *done[i]
			}
			return ended == len(done)
		})
		n.run(3 * time.Second)
		clear(calls[:])
	}
	kept := inUse() - before
	t.Logf("%d bytes kept", kept)
	require.Zero(t, server.Stats().ReassemblyBytes)
	require.Zero(t, server.Stats().BytesKept)
	require.LessOrEqual(t, kept, 4<<20, "the network has its packets")
	n.settled(server, client)
	runtime.KeepAlive(n)
}
