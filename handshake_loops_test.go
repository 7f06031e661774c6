package peregrine

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// The network may lead the datagrams of one client to any queue (ENA's hash does), so that a handshake which one
// loop began another has to go on with. Tokens are each loop's own.
func TestEveryLoopTakesTheOthersCookies(t *testing.T) {
	t.Parallel()
	e, err := Listen("udp://127.0.0.1:0", WithLoops(4))
	require.NoError(t, err)
	defer e.Close()
	client, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer client.Close()
	from := client.LocalAddr().(*net.UDPAddr).AddrPort()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())

	// ask has a loop receive a Hello, and returns what comes back behind the header.
	ask := func(loop int, hello *wire.HelloBody) (wire.Type, []byte) {
		data := make([]byte, wire.MinHello)
		n := (&wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}).Put(data)
		hello.Put(data[n:])
		wire.Seal(data, nil)
		e.loops[loop].post(message{do: func() { e.loops[loop].engine.Inject(&transport.RxPacket{Data: data, From: from}) }})
		answer := make([]byte, 2000)
		require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Minute)))
		size, err := client.Read(answer)
		require.NoError(t, err)
		var h wire.Header
		rest, err := h.Parse(answer[:size])
		require.NoError(t, err)
		return h.Type, rest
	}
	tokens := map[uint32]bool{}
	for loop := range e.loops {
		hello := wire.HelloBody{Connection: 1, Token: uint32(10 + loop), Params: wire.Params{
			MaxDatagram: 1472, Credits: 64, Slots: 1, Sessions: 1, AckDelay: 500, MaxMessage: 1000, KeepAlive: 3000,
		}}
		kind, rest := ask(loop, &hello)
		require.Equal(t, wire.Retry, kind)
		copy(hello.Cookie[:], rest)
		kind, rest = ask((loop+1)%len(e.loops), &hello)
		require.Equal(t, wire.Accept, kind, "a cookie of loop %d", loop)
		var accept wire.AcceptBody
		require.NoError(t, accept.Parse(rest))
		tokens[accept.Token] = true
	}
	require.Len(t, tokens, len(e.loops))
}
