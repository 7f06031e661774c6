package reference_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/reference"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// greet answers one method, by number.
func greet(method uint16, _ []byte) (uint8, []byte) {
	if method != 42 {
		return 12 | 0x80, nil
	}
	return 0, []byte("hello")
}

func TestAClientOfTheDocumentLearnsANumberOfTheEngine(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, seed uint64, faults sim.Faults) {
		w := newWorld(t, seed, faults)
		server := w.engineServer(core.Config{})
		server.Handle(42, func(r *core.Request) { r.Reply([]byte("hello")) })
		server.Name("greet", 42)
		port := w.client.Open(2)
		e := reference.New(reference.Config{Seed: seed})
		w.client.Run(&runner{Endpoint: e, port: port, route: map[netip.AddrPort]transport.Route{}}, port)
		k := e.Connect(w.addr())
		ended := 0
		for name, want := range map[string]uint8{"greet": 0, "part": 12} {
			k.CallName(w.Now, name, &reference.Call{Done: func(code uint8, reply []byte, _ bool) {
				require.Equal(t, want, code)
				if code == 0 {
					require.Equal(t, "hello", string(reply))
				}
				ended++
			}})
		}
		w.client.Kick()
		require.NoError(t, w.Until(time.Minute, func() bool { return ended == 2 }))
	})
}

func TestTheEngineLearnsANumberOfAServerOfTheDocument(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, seed uint64, faults sim.Faults) {
		w := newWorld(t, seed, faults)
		port := w.server.Open(1)
		server := reference.New(reference.Config{Seed: seed, Handler: greet, Names: map[string]uint16{"greet": 42}})
		w.server.Run(&runner{Endpoint: server, port: port, route: map[netip.AddrPort]transport.Route{}}, port)
		client, err := core.New(core.Config{Seed: [32]byte{2}}, w.client.Open(2), w.Now())
		require.NoError(t, err)
		w.client.Run(client, client.Transport().(*sim.Port))
		s, err := client.Connect(w.addr())
		require.NoError(t, err)
		ended := false
		ask := &core.Call{Method: wire.NamesMethod, Request: []byte("greet"), Buf: []byte{}}
		call := &core.Call{Buf: []byte{}, Done: func(*core.Call) { ended = true }}
		ask.Done = func(*core.Call) {
			require.NoError(t, ask.Err)
			call.Method, err = wire.ParseNumber(ask.Response, "greet")
			require.NoError(t, err)
			call.Tied = ask.Via
			s.Submit(call)
		}
		s.Submit(ask)
		w.client.Kick()
		require.NoError(t, w.Until(time.Minute, func() bool { return ended }))
		require.NoError(t, call.Err)
		require.Equal(t, "hello", string(call.Response))
	})
}
