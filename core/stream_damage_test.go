package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Where nobody looks at checksums no stream waits for ever for what was damaged, be it
// the last message of all or a window.
func TestNoStreamWaitsForEverForWhatWasDamaged(t *testing.T) {
	t.Parallel()
	const keepAlive = 300 * time.Millisecond
	const window = 8 << 10
	for name, c := range map[string]struct {
		kind wire.Kind
		from string // whose
		size int    // of messages
		code Code
	}{
		"the client's header":           {wire.StreamHeader, "client", 10, DataLoss},
		"a message of the client":       {wire.StreamData, "client", 10, DataLoss},
		"a message of the server":       {wire.StreamData, "server", 10, DataLoss},
		"a fragment of the client's":    {wire.StreamData, "client", 5000, DataLoss},
		"a fragment of the server's":    {wire.StreamData, "server", 5000, DataLoss},
		"the client's end":              {wire.StreamEnd, "client", 10, DataLoss},
		"the server's end":              {wire.StreamEnd, "server", 10, DataLoss},
		"a window that the server gave": {wire.StreamWindow, "server", 1000, OK},
		"a window that the client gave": {wire.StreamWindow, "client", 1000, OK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, 1)
			cfg := Config{KeepAlive: keepAlive, StreamWindow: window}
			server, client := n.echoServer(cfg), n.add(cfg)
			server.HandleStream(later, func(s *Stream) {
				u := &talker{Stream: s}
				s.User = u
				u.received = func(message []byte) {
					if u.Writable() {
						_, err := u.Send(message) // which fits: the client waits for it
						require.NoError(t, err)
					}
				}
				closer := &closing{talker: u}
				s.User = closer
				s.Receive()
			})
			s := n.connect(client, server)
			n.run(10 * time.Millisecond)
			damaged := false
			n.drop = func(from, _ netip.AddrPort, data []byte) bool {
				whose := map[bool]string{true: "client", false: "server"}[from == client.addr]
				if at, is := messageIn(data, c.kind); !damaged && whose == c.from && is {
					damaged = true
					data[at+8], data[at+9] = 0xFF, 0xFF // of a stream that there is not
				}
				return false
			}
			u := talk(s, Stream{Method: later, Header: []byte("h")})
			u.Receive()
			sent := 0
			for range 400 {
				if u.ended > 0 {
					break
				}
				if sent == len(u.got) && sent < 20 && !u.out.waits { // ping-pong
					_, err := u.Send(pattern(c.size, byte(sent)))
					require.NoError(t, err)
					sent++
				}
				if len(u.got) == 20 {
					u.CloseSend()
				}
				n.run(keepAlive / 4)
			}
			require.True(t, damaged)
			require.Equal(t, 1, u.ended, "after %d messages, of which %d came back", sent, len(u.got))
			require.Equal(t, c.code, u.code(), "%v", u.Err)
			n.run(10 * time.Second)
			n.settled(server, client)
			require.Zero(t, server.Stats().Streams+client.Stats().Streams)
		})
	}
}

// messageIn is where the first message of a kind begins in a Data datagram.
func messageIn(data []byte, kind wire.Kind) (at int, is bool) {
	var h wire.Header
	rest, err := h.Parse(data)
	if err != nil || h.Type != wire.Data {
		return 0, false
	}
	for len(rest) > 0 {
		var m wire.Message
		at = len(data) - len(rest)
		if rest, err = m.Parse(rest); err != nil || m.Kind == kind {
			return at, err == nil
		}
	}
	return 0, false
}

// closing ends its stream when the client does.
type closing struct{ *talker }

func (c *closing) Closed(*Stream) { c.End(OK, "", nil) }

// Streams on a good network are asked about, and go on.
func TestStreamsThatAreIdleForLongGoOn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.faults(sim.Faults{Loss: 0.1, Duplicate: 0.1, Reorder: 0.2, ReorderDelay: time.Millisecond})
	cfg := Config{KeepAlive: 300 * time.Millisecond}
	server, client := n.echoServer(cfg), n.add(cfg)
	server.HandleStream(later, func(s *Stream) {
		u := &talker{Stream: s}
		u.received = func(message []byte) { u.says(t, string(message)) }
		s.User = &closing{talker: u}
		s.Receive()
	})
	s := n.connect(client, server)
	var all []*talker
	for range 50 {
		u := talk(s, Stream{Method: later})
		u.Receive()
		all = append(all, u)
	}
	for round := 1; round <= 3; round++ {
		for _, u := range all {
			u.says(t, "still there?")
		}
		n.run(20 * time.Second)
		for _, u := range all {
			require.Len(t, u.got, round)
		}
	}
	for _, u := range all {
		u.CloseSend()
	}
	n.run(20 * time.Second)
	for _, u := range all {
		require.Equal(t, 1, u.ended)
		require.NoError(t, u.Err)
	}
	n.settled(server, client)
}
