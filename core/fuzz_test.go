package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// What a fuzzed program does with the next datagram.
const (
	fuzzRaw     = iota // feed it bytes
	fuzzMutate         // feed it a recorded datagram, some bytes changed
	fuzzMessage        // feed it bytes as the messages of a valid Data datagram
	fuzzAck            // feed it bytes as the acknowledgements of one
	fuzzRun            // let time pass
	fuzzCall           // make a call
	numFuzz
)

// FuzzEndpoint runs a program of hostile datagrams against a server and a
// client with an open session.
//
// Nothing may panic, and memory stays within its bounds. As long as no datagram
// knew the connection's token, calls go on as if nothing had happened. A peer
// that knows it may well break its own connection; a new one must work.
func FuzzEndpoint(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{fuzzRaw, 5, 1, 2, 3, 4, 5, fuzzCall, 1, 9})
	f.Add([]byte{fuzzRaw, 20, 0xF7, 0x10, 0, 0, 1, 0, 0, 0, 9, 9, 9, 9, 1, 0, 0, 0, 7, 7, 7, 7})
	f.Add([]byte{fuzzRaw, 20, 0xF7, 0x22, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7})
	for i := range byte(24) {
		f.Add([]byte{fuzzMutate, 3, i, 12, 1, fuzzRun, 1, 50, fuzzMutate, 5, i, 20, 0xFF, 30, 3, fuzzCall, 1, 3})
		f.Add([]byte{fuzzMutate, 1, i, fuzzMutate, 3, i, 3, 7})
	}
	// A request, a fragment, a cancellation, a close of the session, a ping.
	f.Add(append([]byte{fuzzMessage, 18}, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 'h', 'i'))
	f.Add(append([]byte{fuzzMessage, 28}, 0x11, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0))
	f.Add(append([]byte{fuzzMessage, 16}, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0, 0))
	f.Add(append([]byte{fuzzMessage, 16}, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Add(append([]byte{fuzzMessage, 16}, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Add(append([]byte{fuzzAck, 18, 1, 1}, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF))
	f.Fuzz(func(t *testing.T, program []byte) {
		cfg := Config{Slots: 4, Sessions: 8, Peers: 4, Requests: 16, Queue: 8, MaxMessage: 64 << 10, ReassemblyMemory: 128 << 10,
			KeepAlive: 100 * time.Millisecond, ConnectTimeout: 100 * time.Millisecond}
		n := newNetwork(t, 1)
		server, client := n.echoServer(cfg), n.add(cfg)
		var recorded []struct {
			from, to *node
			data     []byte
		}
		n.drop = func(from, _ netip.AddrPort, data []byte) bool {
			if len(recorded) < 64 {
				a, b := client, server
				if from == server.addr {
					a, b = b, a
				}
				recorded = append(recorded, struct {
					from, to *node
					data     []byte
				}{a, b, append([]byte(nil), data...)})
			}
			return false
		}
		s := n.connect(client, server)
		n.echoes(s, 100)
		n.echoes(s, 5000)
		feed := func(from, to *node, data []byte) { to.inbox = append(to.inbox, rxFrom(from.addr, data)) }
		tampered := false
		// forge builds a Data datagram as the other end would.
		forge := func(acks wire.AckBlock, messages []byte, toServer bool) {
			from, to := client, server
			if !toServer {
				from, to = server, client
			}
			for _, p := range from.peers {
				if p == nil || p.addr != to.addr || p.state != peerConnected {
					continue
				}
				tampered = true
				data := make([]byte, wire.MaxHeaderSize+len(messages))
				h := wire.Header{Type: wire.Data, Connection: p.remoteIndex, Token: p.remoteToken, Number: uint32(p.next) + 5, Acks: acks}
				size := h.Put(data)
				size += copy(data[size:], messages)
				feed(from, to, data[:size])
			}
		}
		var calls []*Call
		completed := 0
		for len(program) >= 2 && len(calls) < 100 {
			op, size := program[0]%numFuzz, int(program[1])
			toServer := program[0] < 128
			args := program[2:]
			args = args[:min(size, len(args))]
			program = program[2+len(args):]
			switch op {
			case fuzzRaw:
				if toServer {
					feed(client, server, args)
				} else {
					feed(server, client, args)
				}
			case fuzzMutate:
				if len(args) == 0 {
					continue
				}
				r := recorded[int(args[0])%len(recorded)]
				data := append([]byte(nil), r.data...)
				for args = args[1:]; len(args) >= 2; args = args[2:] {
					data[int(args[0])%min(len(data), 96)] ^= args[1]
				}
				tampered = true
				feed(r.from, r.to, data)
			case fuzzMessage:
				forge(wire.AckBlock{}, args, toServer)
			case fuzzAck:
				if len(args) < 2 {
					continue
				}
				a := wire.AckBlock{Words: args[0] % (wire.MaxAckWords + 1)}
				for _, p := range server.peers {
					if p != nil {
						a.Largest = uint32(p.next) - uint32(args[1])
					}
				}
				for i, b := range args[2:] {
					a.Bitmap[i/8%wire.MaxAckWords] |= uint64(b) << (i % 8 * 8)
				}
				forge(a, nil, toServer)
			case fuzzRun:
				n.run(time.Duration(size) * time.Microsecond)
				if len(args) > 0 {
					n.run(time.Duration(args[0]) * time.Millisecond)
				}
			case fuzzCall:
				c := &Call{Method: echo, Request: pattern(size*50, 1), Timeout: 200 * time.Millisecond, Done: func(*Call) { completed++ }}
				calls = append(calls, c)
				s.Submit(c)
			}
			for _, d := range []*node{server, client} {
				st := d.Stats()
				require.LessOrEqual(t, st.ReassemblyBytes, cfg.ReassemblyMemory)
				require.LessOrEqual(t, st.Sessions, cfg.Sessions)
				require.LessOrEqual(t, len(d.accepted), cfg.Peers)
				require.LessOrEqual(t, st.RequestsHeld, cfg.Peers*cfg.Sessions*cfg.Slots)
				require.LessOrEqual(t, d.controlling, 1000)
				for _, p := range d.peers {
					if p != nil {
						require.LessOrEqual(t, len(p.packets), maxPackets)
						require.LessOrEqual(t, len(p.refs), maxRefs)
						require.LessOrEqual(t, len(p.served), cfg.Sessions)
					}
				}
			}
		}
		n.run(time.Second)
		require.Equal(t, len(calls), completed)
		if !tampered {
			for _, c := range calls {
				require.NotEqual(t, Unavailable, codeOf(c))
			}
			n.echoes(s, 3000)
			return
		}
		s.Close()
		n.run(time.Second)
		n.echoes(n.connect(client, server), 3000)
	})
}

// codeOf is how a call ended.
func codeOf(c *Call) Code {
	if err, ok := c.Err.(*Error); ok {
		return err.Code
	}
	return OK
}
