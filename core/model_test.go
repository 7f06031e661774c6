package core

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"
)

// model is what callers and handlers may see, whatever the network does. It
// knows nothing of how the engine works.
type model struct {
	t     tester
	calls []*modelCall
}

// modelCall is one call: what its handler has to do with it, and what became of
// it.
type modelCall struct {
	id      int
	caller  *Endpoint
	request []byte
	reply   []byte
	code    Code // of the handler's answer
	timeout time.Duration

	executed bool
	never    bool // the caller was told that it did not execute
	withdrew bool // the caller did not want it any more
	done     bool
	orphaned bool // its client was killed
}

// idSize is how long a request is at least.
const idSize = 4

// begin notes a call of a request of size bytes, to be answered with so many.
// Both are random, but for the request's first bytes.
func (m *model) begin(caller *Endpoint, size, reply int, code Code, timeout time.Duration) *modelCall {
	c := &modelCall{id: len(m.calls), caller: caller, request: make([]byte, max(size, idSize)), reply: make([]byte, reply),
		code: code, timeout: timeout}
	random := rand.NewChaCha8([32]byte{byte(c.id), byte(c.id >> 8)})
	random.Read(c.request)
	random.Read(c.reply)
	binary.LittleEndian.PutUint32(c.request, uint32(c.id))
	m.calls = append(m.calls, c)
	return c
}

// execute is a handler that begins with a request.
func (m *model) execute(data []byte) *modelCall {
	require.GreaterOrEqual(m.t, len(data), idSize)
	id := int(binary.LittleEndian.Uint32(data))
	require.Less(m.t, id, len(m.calls), "a request that nobody made")
	c := m.calls[id]
	require.True(m.t, string(c.request) == string(data), "call %d: the handler sees another request", id)
	require.False(m.t, c.executed, "call %d executed twice", id)
	require.False(m.t, c.never, "call %d executed though its caller was told that it did not", id)
	c.executed = true
	return c
}

// complete is the end of a call, after some time.
func (m *model) complete(c *modelCall, response []byte, err error, after time.Duration) {
	require.False(m.t, c.done, "call %d completed again", c.id)
	require.False(m.t, c.orphaned, "call %d of a dead client completed", c.id)
	c.done = true
	if err == nil {
		require.True(m.t, c.executed, "call %d was answered without a handler", c.id)
		require.Equal(m.t, OK, c.code, "call %d succeeded though its handler failed it", c.id)
		require.True(m.t, string(c.reply) == string(response), "call %d has another reply than its handler gave", c.id)
		return
	}
	var failed *Error
	require.True(m.t, errors.As(err, &failed), "call %d: %v", c.id, err)
	c.never = !failed.MayHaveExecuted
	require.False(m.t, c.never && c.executed, "call %d executed, but its caller was told: %v", c.id, err)
	switch failed.Code {
	case Canceled:
		require.True(m.t, c.withdrew, "call %d: nobody canceled it: %v", c.id, err)
	case DeadlineExceeded:
		require.NotZero(m.t, c.timeout, "call %d has no deadline: %v", c.id, err)
		require.GreaterOrEqual(m.t, after, c.timeout, "call %d expired early", c.id)
	case Unavailable, ResourceExhausted, Unimplemented:
		// Which of them is right depends on the engine's limits and the network.
	default:
		require.Equal(m.t, c.code, failed.Code, "call %d: %v", c.id, err)
		require.True(m.t, c.executed)
	}
}

// kill is the end of a caller, who completes nothing any more.
func (m *model) kill(caller *Endpoint) {
	for _, c := range m.calls {
		c.orphaned = c.orphaned || c.caller == caller && !c.done
	}
}

// end is when everything has come to rest.
func (m *model) end() {
	for _, c := range m.calls {
		require.True(m.t, c.done || c.orphaned, "call %d never completed", c.id)
	}
}
