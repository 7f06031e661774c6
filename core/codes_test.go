package core

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

func TestACodeThatIsNoneArrivesAsUnknownAndNamed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	for code := range 256 {
		server.Handle(echo, func(r *Request) { r.Fail(Code(code), "so it is") })
		err := n.fails(s, &Call{Method: echo})
		require.True(t, err.MayHaveExecuted, "code %d: it ran", code)
		require.ErrorContains(t, err, "so it is")
		if code > 0 && code < int(numCodes) {
			require.Equal(t, Code(code), err.Code)
			require.Equal(t, "so it is", err.Message)
			continue
		}
		require.Equal(t, Unknown, err.Code)
		require.ErrorContains(t, err, Code(code).String())
	}
	n.settled(server, client)
}

func TestNothingIsBelievedOfAResponseWithACodeThatIsNone(t *testing.T) {
	t.Parallel()
	for code := 1; code < 256; code++ {
		status, executed := code&^wire.NotExecuted, code&wire.NotExecuted == 0
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, 1)
			server, _ := n.slowServer(Config{})
			client := n.add(Config{})
			s := n.connect(client, server)
			c := Call{Method: never}
			done := n.submit(s, &c)
			n.react()
			p := muxOf(client.toward(server))
			p.response(wire.NewMessageLead(wire.Response, s.index, s.generation, 0, 0, 1).WithCode(uint8(code)), nil, nil)
			require.Equal(t, 1, *done)
			err := failure(t, &c)
			if status > 0 && status < int(numCodes) {
				require.Equal(t, Code(status), err.Code)
				require.Equal(t, executed, err.MayHaveExecuted)
				return
			}
			require.Equal(t, Unknown, err.Code)
			require.True(t, err.MayHaveExecuted)
		})
	}
}

func TestARefusalWithACodeThatIsNoneIsUnknown(t *testing.T) {
	t.Parallel()
	for _, code := range []uint8{0, 17, 128, 255} {
		n := newNetwork(t, 1)
		client := n.add(Config{})
		mallory := n.add(Config{})
		n.partition()
		s, err := client.Connect(mallory.addr)
		require.NoError(t, err)
		c := Call{Method: echo}
		done := n.submit(s, &c)
		n.react()
		known := n.secretOf(client, mallory)
		data := make([]byte, 100)
		size := (&wire.Header{Type: wire.Refuse, Flags: wire.FlagChecksum, Connection: known.index, Token: known.token}).Put(data)
		size += wire.PutReason(data[size:], code, "because")
		wire.Seal(data[:size], nil)
		client.port.Deliver(mallory.addr, data[:size], 0)
		n.react()
		require.Equal(t, 1, *done)
		require.Equal(t, Unknown, failure(t, &c).Code)
		require.False(t, failure(t, &c).MayHaveExecuted, "nothing was sent")
	}
}
