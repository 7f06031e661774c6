package core

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// world is a few endpoints that serve and call each other, and to whom anything
// may happen. The model says what of it may show.
type world struct {
	*network
	draws    *rapid.T
	model    model
	cfg      Config
	sessions []*worldSession
	under    map[*node]int // calls under way
	deferred []*worldRequest
	lent     map[*Endpoint]int // replies
	pings    map[*Endpoint]int
	streams  []*modelStream
	buffers  [][]byte // given back, and scrawled over
	cut      map[[2]netip.AddrPort]bool
}

type worldSession struct {
	*Session
	client *node
	calls  []*worldCall
	closed bool
}

type worldCall struct {
	Call
	*modelCall
}

type worldRequest struct {
	*Request
	call *modelCall
	on   *Endpoint
}

// Methods of the world.
const (
	atOnce  = 1 + iota // is answered by the handler
	byAndBy            // is answered some time later
	echoed             // has its own data as its reply
	missing            // has no handler
)

const worldNodes = 3

// streamed is the method of the world's streams.
const streamed = atOnce

func newWorld(t *rapid.T) *world {
	w := &world{
		network: newNetwork(t, rapid.Uint64().Draw(t, "seed")),
		draws:   t,
		model:   model{t: t},
		under:   map[*node]int{},
		lent:    map[*Endpoint]int{},
		pings:   map[*Endpoint]int{},
		cut:     map[[2]netip.AddrPort]bool{},
	}
	// The limits are small, so that they are reached, save for the sessions: those
	// that are refused are the one thing a server does not remember.
	w.cfg = Config{
		Slots: 3, Queue: 5, Sessions: 200, Peers: 2, Requests: 10, Credits: 16, MaxMessage: 40_000, ReassemblyMemory: 100_000,
		Streams: 6, StreamWindow: 2 << 10, StreamMemory: 64 << 10,
		KeepAlive: 200 * time.Millisecond, ConnectTimeout: 100 * time.Millisecond,
		Controller: w.controller(rapid.SampledFrom(append(cc.Names(), whimsical)).Draw(t, "controller")),
		NoCoalesce: w.odds(4, "no coalescing"),
		Checksum:   w.odds(4, "checksums"),
	}
	w.damages = w.odds(2, "ports vouch for nothing")
	if w.odds(2, "slow links") {
		w.link = sim.LinkConfig{Rate: 1e9, QueueBytes: 30_000, MarkBytes: 10_000}
	}
	w.drop = w.sends
	for range worldNodes {
		d := w.add(w.cfg)
		w.serve(d)
		if w.odds(2, "zero copy") {
			d.port.Linger(100 * time.Microsecond)
		}
	}
	return w
}

// whimsical is the controller that has no name in cc.
const whimsical = "whimsical"

func (w *world) controller(name string) cc.Factory {
	if name == whimsical {
		return func(cc.Path) cc.Controller { return &whim{random: w.Rand()} }
	}
	algorithm, err := cc.Lookup(name)
	require.NoError(w.t, err)
	factory, err := algorithm.New(algorithm.Config())
	require.NoError(w.t, err)
	return factory
}

// sends is told of each datagram.
func (w *world) sends(from, to netip.AddrPort, data []byte) bool {
	w.watch(data)
	return w.cut[[2]netip.AddrPort{from, to}]
}

func (w *world) draw(n int, name string) int { return rapid.IntRange(0, n-1).Draw(w.draws, name) }

// odds is true once in n times.
func (w *world) odds(n int, name string) bool { return w.draw(n, name) == n-1 }

func (w *world) anyNode() *node { return w.nodes[w.draw(len(w.nodes), "node")] }

func (w *world) anySession() *worldSession {
	if len(w.sessions) == 0 {
		w.connect()
	}
	return w.sessions[w.draw(len(w.sessions), "session")]
}

// serve gives an endpoint its handlers.
func (w *world) serve(d *node) {
	e := d.Endpoint
	begin := func(r *Request) *worldRequest {
		require.True(w.t, r.Deadline == 0 || r.Deadline > e.packets.Now(), "expired work is begun")
		return &worldRequest{r, w.model.execute(r.Data), e}
	}
	w.acceptStreams(d)
	d.Handle(atOnce, func(r *Request) { w.answer(begin(r)) })
	d.Handle(byAndBy, func(r *Request) {
		w.deferred = append(w.deferred, begin(r))
		r.Defer()
	})
	d.Handle(echoed, func(r *Request) {
		call := begin(r).call
		call.reply, call.code = call.request, OK
		r.Reply(r.Data)
	})
}

// answer answers a request in memory that is overwritten once it is given back.
func (w *world) answer(r *worldRequest) {
	require.True(w.t, string(r.call.request) == string(r.Data), "call %d: its request changed under the handler", r.call.id)
	if r.call.code != OK {
		r.Fail(r.call.code, "as was asked for")
		return
	}
	reply := bytes.Clone(r.call.reply)
	w.lent[r.on]++
	released := false
	r.Released = func() {
		require.False(w.t, released, "call %d: its reply was released again", r.call.id)
		released = true
		w.lent[r.on]--
		scrawl(reply)
	}
	r.Reply(reply)
}

// What may happen.

func (w *world) connect() {
	from := w.draw(len(w.nodes), "client")
	to := w.nodes[(from+1+w.draw(len(w.nodes)-1, "server"))%len(w.nodes)]
	session, err := w.nodes[from].Connect(to.addr)
	require.NoError(w.t, err)
	w.sessions = append(w.sessions, &worldSession{Session: session, client: w.nodes[from]})
}

func (w *world) call() {
	s := w.anySession()
	sizes := []int{0, 500, 1300, 4000, 20_000, 40_000, 41_000}
	for range 1 + w.draw(4, "calls") {
		method := []uint16{atOnce, atOnce, byAndBy, byAndBy, echoed, echoed, missing}[w.draw(7, "method")]
		code := []Code{OK, OK, OK, Aborted}[w.draw(4, "code")]
		timeout := []time.Duration{0, 0, 300 * time.Microsecond, 5 * time.Millisecond}[w.draw(4, "timeout")]
		w.submit(s, method, sizes[w.draw(len(sizes), "request")], sizes[w.draw(len(sizes), "reply")], code, timeout)
	}
}

func (w *world) submit(s *worldSession, method uint16, size, reply int, code Code, timeout time.Duration) *worldCall {
	c := &worldCall{modelCall: w.model.begin(s.client.Endpoint, size, reply, code, timeout)}
	c.withdrew = s.closed
	began := w.Now()
	request := bytes.Clone(c.request)
	buf := [][]byte{nil, make([]byte, 5000)}[w.draw(2, "buffer")]
	c.Call = Call{Method: method, Request: request, Buf: buf, Timeout: timeout, Done: func(*Call) {
		w.under[s.client]--
		w.model.complete(c.modelCall, c.Response, c.Err, w.Now()-began)
		scrawl(request)
		scrawl(buf)
		w.buffers = append(w.buffers, request, buf)
	}}
	w.under[s.client]++
	s.calls = append(s.calls, c)
	s.Submit(&c.Call)
	return c
}

func (w *world) cancel() {
	if s := w.anySession(); len(s.calls) > 0 {
		c := s.calls[w.draw(len(s.calls), "call")]
		c.withdrew = true
		s.Cancel(&c.Call)
	}
}

// closeSession closes a session that may still be used afterwards, in vain.
func (w *world) closeSession() {
	s := w.anySession()
	s.withdraw()
	s.Close()
	if w.odds(2, "forget it") {
		w.sessions = slices.DeleteFunc(w.sessions, func(o *worldSession) bool { return o == s })
	}
}

// withdraw notes that nobody wants a session's calls any more.
func (s *worldSession) withdraw() {
	s.closed = true
	for _, c := range s.calls {
		c.withdrew = true
	}
}

func (w *world) ping() {
	s := w.anySession()
	on := s.client.Endpoint
	w.pings[on]++
	answered := false
	s.Ping(func(time.Duration, error) {
		require.False(w.t, answered, "a ping was answered twice")
		answered = true
		w.pings[on]--
	})
}

func (w *world) answerOne() {
	if n := len(w.deferred); n > 0 {
		i := w.draw(n, "request")
		r := w.deferred[i]
		w.deferred = append(w.deferred[:i], w.deferred[i+1:]...)
		w.answer(r)
	}
}

// restart closes a node, or kills it without a word, and starts it anew.
func (w *world) restart() {
	d := w.anyNode()
	old := d.Endpoint
	ofOld := func(s *worldSession) bool { return s.client == d }
	if w.odds(2, "in order") {
		for _, s := range w.sessions {
			if ofOld(s) {
				s.withdraw()
			}
		}
		require.NoError(w.t, d.Close())
		require.Zero(w.t, w.under[d], "a closed endpoint has calls")
		require.Zero(w.t, w.pings[old], "a closed endpoint has pings")
	} else {
		w.model.kill(old)
		w.killStreams(old)
		w.under[d] = 0
		w.deferred = slices.DeleteFunc(w.deferred, func(r *worldRequest) bool { return r.on == old })
		delete(w.lent, old)
		delete(w.pings, old)
	}
	w.sessions = slices.DeleteFunc(w.sessions, ofOld)
	d.restart(w.cfg)
	w.serve(d)
}

// disturb sets what the wires do to datagrams.
func (w *world) disturb() {
	choose := func(name string, p float64) float64 { return []float64{0, 0, p}[w.draw(3, name)] }
	f := sim.Faults{
		Loss:         choose("loss", 0.2),
		Duplicate:    choose("duplicate", 0.3),
		Corrupt:      choose("corrupt", 0.1),
		Reorder:      choose("reorder", 0.1),
		ReorderDelay: 300 * time.Microsecond,
		Jitter:       []time.Duration{0, 100 * time.Microsecond}[w.draw(2, "jitter")],
	}
	if w.odds(4, "bursts") {
		f.Burst = sim.Burst{Enter: 0.05, Leave: 0.1, Loss: 1}
	}
	w.faults(f)
}

// part cuts a path in one direction or both.
func (w *world) part() {
	from, to := w.anyNode().addr, w.anyNode().addr
	w.cut[[2]netip.AddrPort{from, to}] = true
	if w.odds(2, "both ways") {
		w.cut[[2]netip.AddrPort{to, from}] = true
	}
}

func (w *world) mend() {
	clear(w.cut)
	w.faults(sim.Faults{})
	for _, wire := range w.wires {
		wire.SetMTU(w.mtu + headers)
	}
}

func (w *world) shrink() {
	w.wires[w.draw(len(w.wires), "wire")].SetMTU([]int{1200, 1372, w.mtu}[w.draw(3, "MTU")] + headers)
}

func (w *world) pause() {
	w.anyNode().host.Pause([]time.Duration{100 * time.Microsecond, 20 * time.Millisecond, 300 * time.Millisecond}[w.draw(3, "pause")])
}

// misbehave has a transport take nothing, or keep memory for longer.
func (w *world) misbehave() {
	p := w.anyNode().port
	switch w.draw(4, "misbehaviour") {
	case 0:
		p.Withhold(uint64(w.draw(20, "packets")))
	case 1:
		p.Stuck(true)
	case 2:
		p.Full(true)
	case 3:
		behave(p)
	}
}

func behave(p *sim.Port) {
	p.Withhold(0)
	p.Stuck(false)
	p.Full(false)
}

var deeds = map[string]func(*world){
	"connect":   (*world).connect,
	"call":      (*world).call,
	"cancel":    (*world).cancel,
	"answer":    (*world).answerOne,
	"ping":      (*world).ping,
	"open":      (*world).openStream,
	"speak":     (*world).speak,
	"listen":    (*world).listen,
	"finish":    (*world).finishStream,
	"reset":     (*world).resetStream,
	"close":     (*world).closeSession,
	"restart":   (*world).restart,
	"disturb":   (*world).disturb,
	"part":      (*world).part,
	"mend":      (*world).mend,
	"shrink":    (*world).shrink,
	"pause":     (*world).pause,
	"misbehave": (*world).misbehave,
	"wait":      func(w *world) { w.run(time.Duration(w.draw(200, "µs")) * time.Microsecond) },
	"wait long": func(w *world) { w.run(time.Duration(w.draw(400, "ms")) * time.Millisecond) },
}

// likely has each deed as often as it is likely.
var likely = strings.Split("connect,connect,call,call,call,call,call,call,call,call,call,call,cancel,cancel,answer,answer,answer,"+
	"open,open,open,open,speak,speak,speak,speak,speak,speak,speak,speak,speak,listen,listen,listen,finish,reset,"+
	"ping,close,restart,disturb,part,mend,shrink,pause,misbehave,wait,wait,wait,wait,wait,wait long", ",")

// check looks at everybody's bounds.
func (w *world) check() {
	for _, d := range w.nodes {
		d.checkAccounts(worldNodes-1, w.under[d])
	}
}

// rest lets everything end, and checks that nothing is left.
func (w *world) rest() {
	w.mend()
	for _, d := range w.nodes {
		behave(d.port)
	}
	for round := range 400 {
		w.hear()
		if round == 200 {
			w.concludeStreams()
		}
		for len(w.deferred) > 0 {
			r := w.deferred[0]
			w.deferred = w.deferred[1:]
			w.answer(r)
		}
		w.run(20 * time.Millisecond)
	}
	w.check()
	w.model.end()
	w.streamsOver()
	for _, b := range w.buffers {
		require.True(w.t, untouched(b), "memory was written to after it was given back")
	}
	for _, left := range []map[*Endpoint]int{w.lent, w.pings} {
		for _, count := range left {
			require.Zero(w.t, count, "replies were not released, or pings not answered")
		}
	}
	connections := 0
	for _, d := range w.nodes {
		st := d.Stats()
		require.Zero(w.t, st.RequestsHeld)
		require.Zero(w.t, st.ReassemblyBytes)
		w.until(func() bool { return d.controlling == 0 }) // but for a keepalive
		require.Empty(w.t, d.parked)
		require.Empty(w.t, d.failed)
		require.True(w.t, d.Drained())
		connections += d.dialed()
	}
	// Quiet: nothing but keepalives.
	sent := w.sent
	w.run(time.Second)
	require.LessOrEqual(w.t, w.sent-sent, connections*(5*packet.KeepAlivesPerTimeout+1)*2)

	// And all still works.
	for _, s := range w.sessions {
		if !s.closed {
			c := w.submit(s, echoed, 100, 0, OK, 0)
			w.until(func() bool { return c.done })
			require.NoError(w.t, c.Err)
		}
	}

	// Nobody waits for anything once all is closed.
	for _, s := range w.sessions {
		if !s.closed {
			s.Close()
		}
	}
	w.run(3 * time.Second)
	for _, d := range w.nodes {
		at, waits := d.NextDeadline()
		require.False(w.t, waits, "until %v", at)
	}
}

func untouched(b []byte) bool {
	for _, v := range b {
		if v != 0xEE {
			return false
		}
	}
	return true
}

func TestRandomSchedules(t *testing.T) {
	t.Parallel()
	rapid.Check(replayable{t}, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(10, 150).Draw(t, "deeds") {
			deeds[rapid.SampledFrom(likely).Draw(t, "do")](w)
			w.check()
		}
		w.rest()
	})
}

// replayable adds to a failure the command that shows it again.
type replayable struct{ *testing.T }

var failingSeed = regexp.MustCompile(`-rapid\.seed=\d+`)

func (t replayable) Errorf(format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if seed := failingSeed.FindString(text); seed != "" {
		text += fmt.Sprintf("\nreplay: go test ./core -run '^%s$' %s", t.Name(), seed)
	}
	t.Error(text)
}
