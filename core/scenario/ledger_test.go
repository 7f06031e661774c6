package scenario_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

// Methods of all nodes.
const (
	work = 1 + iota // replied to at once
	hold            // replied to by node.answer
)

// job describes a call.
type job struct {
	size, reply int // in bytes; a request has at least jobHead
	hold        bool
	patient     bool // waits for ready
	timeout     time.Duration
}

const jobHead = 8 + 4 // of a request: the call's number, and the size of the reply

// call is a call and the world's record of it.
type call struct {
	core.Call
	number  int // in world.calls
	session *session
	begun   time.Duration
	took    time.Duration // once done
	done    bool
	orphan  bool // its process was killed
	runs    int  // times that a handler began
	then    func(*call)
}

// submit starts a call.
func (s *session) submit(j job) *call {
	w := s.node.world
	c := &call{number: len(w.calls), session: s, begun: w.Now()}
	w.calls = append(w.calls, c)
	c.Method, c.Timeout, c.WaitForReady = work, j.timeout, j.patient
	if j.hold {
		c.Method = hold
	}
	c.Request = pattern(c.number, max(j.size, jobHead))
	binary.LittleEndian.PutUint64(c.Request, uint64(c.number))
	binary.LittleEndian.PutUint32(c.Request[8:], uint32(j.reply))
	c.Buf = make([]byte, 0, j.reply)
	c.Done = func(*core.Call) { w.completed(c, j) }
	s.node.Advance(w.Now())
	s.Submit(&c.Call)
	s.node.host.Kick()
	return c
}

func (w *world) completed(c *call, j job) {
	require.False(w.t, c.done, "call %d completed twice", c.number)
	c.done, c.took = true, w.Now()-c.begun
	if c.Err == nil {
		require.Equal(w.t, 1, c.runs, "executions of call %d", c.number)
		require.True(w.t, bytes.Equal(reply(c.number, j.reply), c.Response), "call %d has not got its own reply", c.number)
	}
	w.note("%s", c)
	clear(c.Request) // nobody may read it any more
	if c.then != nil {
		c.then(c)
	}
}

func (c *call) String() string {
	if c.Err == nil {
		return fmt.Sprintf("call %d returns %d bytes", c.number, len(c.Response))
	}
	return fmt.Sprintf("call %d fails: %v", c.number, c.Err)
}

// submits starts several calls.
func (s *session) submits(count int, j job) (calls []*call) {
	for range count {
		calls = append(calls, s.submit(j))
	}
	return calls
}

// stream makes count calls, of which depth are under way at a time, and returns
// them once all are started.
func (s *session) stream(depth, count int, j job) []*call {
	s.node.world.t.Helper()
	calls := make([]*call, 0, count)
	var next func(*call)
	next = func(*call) {
		if len(calls) < count {
			c := s.submit(j)
			c.then = next
			calls = append(calls, c)
		}
	}
	for range depth {
		next(nil)
	}
	s.node.world.within(time.Hour, func() bool { return len(calls) == count })
	return calls
}

// cancel cancels a call.
func (c *call) cancel() {
	n := c.session.node
	n.Advance(n.world.Now())
	c.session.Cancel(&c.Call)
	n.host.Kick()
}

// complete runs until calls have succeeded, which may take so much virtual time.
func (w *world) complete(limit time.Duration, calls ...*call) {
	w.t.Helper()
	w.done(limit, calls...)
	for _, c := range calls {
		require.NoError(w.t, c.Err, "call %d", c.number)
	}
}

// fail runs until calls have failed.
func (w *world) fail(limit time.Duration, code core.Code, calls ...*call) {
	w.t.Helper()
	w.done(limit, calls...)
	for _, c := range calls {
		require.ErrorIs(w.t, c.Err, &core.Error{Code: code}, "call %d", c.number)
	}
}

// done runs until calls are done, one way or the other.
func (w *world) done(limit time.Duration, calls ...*call) {
	w.t.Helper()
	next := 0
	w.within(limit, func() bool {
		for next < len(calls) && calls[next].done {
			next++
		}
		return next == len(calls)
	})
}

func (c *call) mayHaveRun() bool {
	var err *core.Error
	require.ErrorAs(c.session.node.world.t, c.Err, &err)
	return err.MayHaveExecuted
}

// serve sets the handlers of a new endpoint.
func (n *node) serve() {
	n.Handle(work, func(r *core.Request) {
		n.begin(r)
		n.reply(r)
	})
	n.Handle(hold, func(r *core.Request) {
		n.begin(r)
		r.Defer()
		n.held = append(n.held, r)
	})
}

// begin notes that a handler has begun.
func (n *node) begin(r *core.Request) {
	w := n.world
	number := int(binary.LittleEndian.Uint64(r.Data))
	want := pattern(number, len(r.Data))
	copy(want, r.Data[:jobHead])
	require.True(w.t, bytes.Equal(want, r.Data), "the request of call %d came damaged", number)
	w.calls[number].runs++
	w.note("%s runs call %d", n.host.Name(), number)
}

func (n *node) reply(r *core.Request) {
	number, size := binary.LittleEndian.Uint64(r.Data), binary.LittleEndian.Uint32(r.Data[8:])
	data := reply(int(number), int(size))
	r.Released = func() { clear(data) } // nobody may read it any more
	r.Reply(data)
}

// answer replies to all requests that are held.
func (n *node) answer() {
	if len(n.held) == 0 {
		return
	}
	n.Advance(n.world.Now())
	for _, r := range n.held {
		n.reply(r)
	}
	n.held = nil
	n.host.Kick()
}

// ended says whether no call is under way.
func (w *world) ended() bool {
	for _, c := range w.calls {
		if !c.done && !c.orphan {
			return false
		}
	}
	return true
}

// check compares what callers were told with what happened.
func (w *world) check() {
	w.t.Helper()
	for _, c := range w.calls {
		require.LessOrEqual(w.t, c.runs, 1, "call %d executed twice", c.number)
		if c.done && c.Err != nil && !c.mayHaveRun() {
			require.Zero(w.t, c.runs, "call %d was said not to have executed", c.number)
		}
	}
}

// runs is how many of calls were executed.
func runs(calls ...*call) (n int) {
	for _, c := range calls {
		n += c.runs
	}
	return n
}

// reply is what call number is replied to with.
func reply(number, size int) []byte { return pattern(^number, size) }

// pattern is size bytes that belong to a number.
func pattern(number, size int) []byte {
	b := make([]byte, size, size+8)
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(b[i:i+8:i+8], (uint64(number)<<32+uint64(i))*0x9E3779B97F4A7C15)
	}
	return b
}
