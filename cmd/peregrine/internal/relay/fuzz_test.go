package relay

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// FuzzRelay gives a relay a datagram from either side: it neither panics, nor holds
// on to memory, nor passes what does not parse.
func FuzzRelay(f *testing.F) {
	for kind := wire.Data; kind <= wire.PathResponse; kind++ {
		f.Add(datagram(kind, wire.Version), false)
		f.Add(datagram(kind, 2)[:wire.HeaderSize+wire.ChecksumSize], true)
	}
	f.Add([]byte{}, true)
	f.Add(make([]byte, 9000), false)
	f.Fuzz(func(t *testing.T, data []byte, fromServer bool) {
		w := newWorld(t, 1, Config{MaxFlows: 4})
		client, server := w.raw("client"), w.raw("server")
		r := w.relay(server.LocalAddr())
		client.send(r.Addr(), datagram(wire.Hello, wire.Version))
		w.settle()
		from, hello := server.take()
		require.NotNil(t, hello)
		if len(data) > client.Caps().MaxPayload {
			data = data[:client.Caps().MaxPayload]
		}
		var h wire.Header
		if fromServer {
			server.send(from, data)
			w.settle()
			_, got := client.take()
			require.Equal(t, serversSend.pass(&h, data), got != nil)
		} else {
			client.send(r.Addr(), data)
			w.settle()
			_, got := server.take()
			require.Equal(t, clientsSend.pass(&h, data), got != nil)
		}
		s := r.Stats()
		require.EqualValues(t, 1, s.FlowsOpen)
		require.EqualValues(t, 2, s.ToServer+s.ToClients+s.Foreign)
	})
}
