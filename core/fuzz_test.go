package core

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// What a step of a fuzzed program does. A step is one of these, the number of
// its arguments, and the arguments; those that are missing are 0.
const (
	stepGarbage  = iota // a stranger sends bytes
	stepReplay          // a recorded datagram comes again, changed
	stepMessages        // a peer sends bytes as the messages of a Data datagram
	stepMessage         // a peer sends one message, well formed
	stepAck             // a peer acknowledges
	stepControl         // a peer sends bytes as the body of a control datagram
	stepHello           // a client that wants anything connects
	stepDial            // the client calls a server that wants anything
	stepRun             // time passes
	stepStall           // time jumps, and nobody could do anything
	stepCall            // the client calls the server
	stepWitness         // the witness does
	stepPing            // the client measures the round trip
	stepAnswer          // a deferred request is answered
	stepLoss            // datagrams between client and server are lost from now on
	stepBusy            // the server's transport takes nothing, or keeps what it took, from now on
	stepReopen          // the client closes its session and opens another
	stepStream          // the client, or the witness, opens a stream and speaks
	stepSpeak           // somebody says more on a stream, or ends it
	numSteps
)

// stepLater in a step's first byte lets datagrams gather for one Poll.
const stepLater = 1 << 7

// fuzzConfig has limits that a short program reaches.
func fuzzConfig(mode byte) Config {
	return Config{
		Slots: 4, Sessions: 8, Peers: 4, Requests: 16, Queue: 8, MaxMessage: 48 << 10, ReassemblyMemory: 100 << 10,
		Streams: 4, StreamWindow: 2 << 10, StreamMemory: 8 << 10,
		KeepAlive: 100 * time.Millisecond, ConnectTimeout: 100 * time.Millisecond,
		Checksum: mode&1 != 0, NoCoalesce: mode&2 != 0,
	}
}

// FuzzEndpoint runs a program of hostile datagrams against a server and a
// client with open sessions, as a stranger, as a peer that knows all tokens, as
// a client and as a server of its own.
//
// Nothing may panic, memory stays within its bounds, and accounts stay right. A
// witness, a client whose datagrams nobody touches, is always answered. So is
// the client as long as nobody touches its own. In the end nothing is left.
func FuzzEndpoint(f *testing.F) {
	for _, seed := range fuzzSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		a := arguments(program)
		w := newFuzzWorld(t, fuzzConfig(a.byte()))
		for steps := 0; len(a) >= 2 && steps < 200; steps++ {
			op, size := a.byte(), int(a.byte())
			args := a[:min(size, len(a))]
			a = a[len(args):]
			w.step(op%stepLater%numSteps, args)
			if op&stepLater == 0 {
				w.n.react()
			}
			w.check()
		}
		w.finish()
	})
}

// fuzzSeeds are programs of the least steps that reach each part of the engine.
func fuzzSeeds() (seeds [][]byte) {
	step := func(op byte, args ...byte) []byte { return append([]byte{op, byte(len(args))}, args...) }
	program := func(steps ...[]byte) {
		p := []byte{0}
		for _, s := range steps {
			p = append(p, s...)
		}
		seeds = append(seeds, p)
	}
	run, call, witness := step(stepRun, 0, 2), step(stepCall, 1, 3), step(stepWitness, 10)
	program()
	program(call, witness, run, step(stepCall, 2, 1), run, step(stepAnswer, 0), run)
	program(step(stepGarbage, 0, 1, 0xF7, 0x10, 0, 0, 1, 0, 0, 0, 9, 9, 9, 9, 1, 0, 0, 0, 7, 7, 7, 7), run)
	program(step(stepGarbage, 0, 3, 0xF7, 0x22, 1, 0), run) // another version's Hello
	for control := range byte(10) {
		for _, source := range []byte{2 | 4, 2 | 8} {
			forged := append([]byte{1, source, 0xF7, 0x10 | control, 1}, make([]byte, 40)...)
			program(call, witness, step(stepGarbage, forged...), run, call)
		}
	}
	for recorded := range byte(30) {
		program(step(stepReplay, recorded, 7, 12, 1, 20, 0xFF, 30, 3), run, call, witness)
		program(step(stepReplay, recorded, 0), call, step(stepReplay, recorded, 4, 3, 7))
	}
	for kind := range byte(5) {
		program(call, step(stepMessage, 0, 0, kind, 0, 0, 1, 0, 2, 0, 1), run, witness) // next of its slot
		program(call, step(stepMessage, 1, 0, kind, 0, 0, 1, 0, 2, 0, 1), run, witness) // to the client
		program(step(stepMessage, 0, 0, kind, 1, 7, 1, 3, 1, 0, 1, 2, 0x40, 0, 0), run) // a fragment, another session
	}
	for control := range byte(10) {
		program(call, step(stepControl, 0, 0, control, 1, 0, 0, 0, 1, 0, 0, 0), run, call)
		program(step(stepDial, 1), step(stepControl, 1, 1, control, 1, 0, 0, 0, 1, 0, 0, 0, 0xC0, 4, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0,
			0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0), run, step(stepMessage, 1, 1, 1, 0, 0, 1, 0, 1), run)
	}
	many := step(stepMessage, 0, 0, 0, 9, 0, 1, 0, 1, 0, 1)                   // more sessions than there may be
	program(many, step(stepMessage, 0, 0, 0, 1, 0, 1, 0, 1, 0, 9), run, many) // no such method
	program(step(stepMessage, 0, 0, 0, 200, 0, 1, 0, 1, 0, 1), run)
	program(step(stepHello, 1), step(stepHello, 2), step(stepHello, 3), step(stepHello, 4), run, witness)
	program(step(stepRun, 0, 60), step(stepAck, 0, 0, 30, 0, 0, 1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF), run, call) // never sent
	program(call, step(stepAck, 0, 0, 255, 0, 8, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), run, call)
	program(step(stepHello, 1, 9, 1, 1, 1, 1, 1, 1), run, step(stepMessage, 0, 2, 0, 0, 0, 1, 0, 1, 0, 1), run, witness)
	program(step(stepLoss, 128), call, step(stepRun, 0, 90), step(stepLoss, 0), call, step(stepReopen), call, run)
	large := step(stepCall, 1, 250)
	program(step(stepLoss, 60), large, large, step(stepRun, 0, 40), step(stepLoss, 0), large, step(stepRun, 0, 40))
	program(large, step(stepRun, 0, 5), step(stepLoss, 0, 1), large, step(stepRun, 0, 45), large, step(stepRun, 0, 45), call)
	program(step(stepBusy, 1), call, step(stepGarbage, 0, 3, 0xF7, 0x12, 1), step(stepHello, 1), run, step(stepBusy), call, run)
	program(step(stepBusy, 0, 200), large, run, large, run, witness, step(stepPing), run)
	fragment := func(slot byte) []byte { return step(stepMessage, 0, 0, 0, 1, slot, 1, 0, 1, 0, 1, 1, 0, 150, 0) }
	program(fragment(0), fragment(1), fragment(2), run, witness)
	program(step(stepMessage, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 250, 0), run) // too long
	program(step(stepMessage, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 2, 0, 1), run)      // expired
	waits := step(stepCall, 0, 200)
	program(waits, waits, run, step(stepMessage, 0, 0, 2, 0, 0, 1, 0, 3, 0), step(stepReopen), waits, step(stepAnswer), run)
	var crowd [][]byte // of deferred requests
	for slot := range byte(20) {
		crowd = append(crowd, step(stepMessage, 0, 0, 0, 1+slot/4, slot%4, 1, 0, 1, 0, later, 2))
	}
	program(append(crowd, run, witness)...)
	speak, talk := step(stepStream, 0, 5, 20), step(stepStream, 1, 5, 60)
	program(speak, talk, run, step(stepSpeak, 0), step(stepSpeak, 1), step(stepStream, 0, 3, 250), run, run)
	program(step(stepLoss, 60), speak, step(stepStream, 0, 15, 200), run, step(stepSpeak, 0, 2, 7), run, step(stepLoss, 0), run, talk, run)
	for kind := range byte(5) {
		for _, use := range []byte{1, 2} {
			// kind, session, stream, generation, sequence, use, length
			program(speak, talk, step(stepMessage, 0, 0, 5+kind, 0, 0, 1, 0, 116, 0, use, 8), run, step(stepSpeak, 0), talk, run)
			program(speak, run, step(stepMessage, 1, 0, 5+kind, 0, 0, 1, 0, 116, 0, use, 8), run, talk, run)
			program(step(stepMessage, 0, 0, 5+kind, 3, 1, 1, 0, 1, 0, use, 9), step(stepMessage, 0, 0, 6, 3, 1, 1, 0, 32, 0, use, 9), run, talk, run)
		}
	}
	program(speak, step(stepSpeak, 0, 1), speak, step(stepReopen), speak, run, talk, run)
	program(call, step(stepStall, 200), call, witness, step(stepStall, 255, 255), call)
	return seeds
}

// arguments are bytes that end in as many zeros as anybody asks for.
type arguments []byte

func (a *arguments) byte() byte {
	if len(*a) == 0 {
		return 0
	}
	b := (*a)[0]
	*a = (*a)[1:]
	return b
}

func (a *arguments) uint16() uint16 { return uint16(a.byte()) | uint16(a.byte())<<8 }
func (a *arguments) uint32() uint32 { return uint32(a.uint16()) | uint32(a.uint16())<<16 }

// fuzzWorld is the network that a program runs in. Of mallory and the stranger
// only the addresses matter: what is sent to them goes nowhere.
type fuzzWorld struct {
	t                         *testing.T
	n                         *network
	cfg                       Config
	server, client, witness   *node
	mallory, stranger         *node
	session, seen             *Session // of the client and the witness
	dialed                    []*Session
	deferred                  []*Request
	executed                  map[uint64]int // requests of the witness
	recorded                  []recordedDatagram
	calls, completed, pings   int
	streams                   []*fuzzStream         // of the client and the witness
	loss                      byte                  // of 256
	narrow                    bool                  // large ones are lost
	tampered, stalled         bool                  // with the client's datagrams; long enough to lose connections
	fromStranger, forStranger int                   // bytes
	cookie                    [wire.CookieSize]byte // that mallory was sent last
}

type recordedDatagram struct {
	from *node
	to   *node
	data []byte
}

func newFuzzWorld(t *testing.T, cfg Config) *fuzzWorld {
	n := newNetwork(t, 1)
	w := &fuzzWorld{t: t, n: n, cfg: cfg, executed: map[uint64]int{}}
	w.server, w.client, w.witness, w.mallory, w.stranger = n.add(cfg), n.add(cfg), n.add(cfg), n.add(cfg), n.add(cfg)
	w.server.Handle(echo, func(r *Request) {
		if r.Peer() == w.witness.addr {
			id := binary.LittleEndian.Uint64(r.Data)
			w.executed[id]++
			require.Equal(t, 1, w.executed[id], "executed twice")
		}
		r.Reply(r.Data)
	})
	w.server.Handle(later, func(r *Request) {
		r.Defer()
		w.deferred = append(w.deferred, r)
	})
	w.server.HandleStream(echo, func(s *Stream) {
		s.User = &fuzzEcho{}
		s.Receive()
	})
	n.drop = w.drop
	w.seen, w.session = n.connect(w.witness, w.server), n.connect(w.client, w.server)
	w.call(w.seen, echo, 100)
	w.call(w.session, echo, 100)
	w.call(w.session, echo, 5000)
	n.run(10 * time.Millisecond)
	return w
}

// drop is the network's.
func (w *fuzzWorld) drop(from, to netip.AddrPort, data []byte) bool {
	switch {
	case to == w.stranger.addr:
		w.forStranger += len(data)
		return true
	case to == w.mallory.addr:
		if typeOf(data) == wire.Retry {
			copy(w.cookie[:], data[wire.HeaderSize+wire.ChecksumSize:])
		}
		return true
	case from == w.witness.addr || to == w.witness.addr:
		return false
	}
	if len(w.recorded) < 64 {
		r := recordedDatagram{w.client, w.server, append([]byte(nil), data...)}
		if from == w.server.addr {
			r.from, r.to = r.to, r.from
		}
		w.recorded = append(w.recorded, r)
	}
	return byte(w.n.Rand().Uint32()) < w.loss || w.narrow && len(data) > wire.MinHello
}

// feed makes d receive a datagram.
func (w *fuzzWorld) feed(d *node, from netip.AddrPort, data []byte) {
	d.port.Deliver(from, data, transport.NotECT)
}

// call makes a call that checks how it ends, with what every other one cannot
// have as its first bytes.
func (w *fuzzWorld) call(s *Session, method uint16, size int) {
	w.calls++
	request := pattern(max(8, size), 1)
	binary.LittleEndian.PutUint64(request, uint64(w.calls))
	s.Submit(&Call{Method: method, Request: request, Timeout: 50 * time.Millisecond, Done: func(c *Call) {
		w.completed++
		switch {
		case s.Peer() == w.mallory.addr || s != w.seen && w.tampered:
		case c.Err == nil:
			require.Equal(w.t, c.Request, c.Response)
		case method == later || w.stalled || s.closed:
		default:
			require.ErrorIs(w.t, c.Err, &Error{Code: ResourceExhausted})
		}
	}})
}

// peer chooses a connection that is not the witness's, and its owner.
func (w *fuzzWorld) peer(a *arguments) (*node, *secret) {
	d := w.server
	if a.byte()&1 != 0 {
		d = w.client
	}
	peers := w.n.secretsOf(d, w.witness)
	return d, peers[int(a.byte())%len(peers)]
}

// forge sends d what its peer p would: a header, then body.
func (w *fuzzWorld) forge(d *node, p *secret, h wire.Header, body []byte) {
	if p.peer != w.mallory.addr {
		w.tampered = true
	}
	h.Connection, h.Token, h.Number = p.index, p.token, p.next
	if h.Type == wire.Data {
		p.next++
	}
	h.Flags |= wire.FlagChecksum
	data := make([]byte, h.Size()+len(body))
	copy(data[h.Put(data):], body)
	wire.Seal(data, nil)
	w.feed(d, p.peer, data)
}

func (w *fuzzWorld) step(op byte, a arguments) {
	switch op {
	case stepGarbage:
		w.garbage(a)
	case stepReplay:
		w.replay(a)
	case stepMessages:
		d, p := w.peer(&a)
		w.forge(d, p, wire.Header{Type: wire.Data}, a)
	case stepMessage:
		w.message(a)
	case stepAck:
		w.ack(a)
	case stepControl:
		d, p := w.peer(&a)
		w.forge(d, p, wire.Header{Type: wire.Type(a.byte() % 10)}, a)
	case stepHello:
		w.hello(a)
	case stepDial:
		if len(w.dialed) < 3 {
			s, err := w.client.Connect(w.mallory.addr)
			if err == nil {
				w.dialed = append(w.dialed, s)
			}
		}
		if n := len(w.dialed); n > 0 {
			w.call(w.dialed[int(a.byte())%n], echo, int(a.uint16()))
		}
	case stepRun:
		w.n.run(time.Duration(a.byte())*time.Microsecond + time.Duration(a.byte())*time.Millisecond)
	case stepStall:
		d := time.Duration(a.uint16()) * time.Millisecond
		w.stalled = w.stalled || d >= w.cfg.KeepAlive/4 // late by a keepalive, or a timeout
		w.n.stall(d)
	case stepCall:
		method := uint16(echo)
		if a.byte()&1 == 0 {
			method = later
		}
		w.call(w.session, method, int(a.byte())*100)
	case stepWitness:
		w.call(w.seen, echo, int(a.byte())*100)
	case stepPing:
		w.pings++
		w.session.Ping(func(time.Duration, error) { w.pings-- })
	case stepAnswer:
		if n := len(w.deferred); n > 0 {
			i := int(a.byte()) % n
			r := w.deferred[i]
			w.deferred = append(w.deferred[:i], w.deferred[i+1:]...)
			r.Reply(r.Data)
		}
	case stepLoss:
		w.tampered = true
		w.loss, w.narrow = a.byte(), a.byte()&1 != 0
	case stepBusy:
		stuck, withheld := a.byte()&1 != 0, uint64(a.byte())
		w.server.port.Stuck(stuck)
		w.server.port.Withhold(withheld)
		w.stalled = w.stalled || stuck
	case stepReopen:
		w.session.Close()
		s, err := w.client.Connect(w.server.addr)
		if err != nil {
			w.tampered = true // an Accept that allows no more sessions
			s = w.session
		}
		w.session = s
	case stepStream:
		s := w.session
		if a.byte()&1 != 0 {
			s = w.seen
		}
		w.stream(s, int(a.byte()), int(a.byte())*40)
	case stepSpeak:
		if n := len(w.streams); n > 0 {
			u := w.streams[int(a.byte())%n]
			switch a.byte() % 4 {
			case 0:
				u.CloseSend()
			case 1:
				u.Reset(Canceled, "")
				u.withdrew = true
			default:
				u.say(1 + int(a.byte())%8)
			}
		}
	}
}

// fuzzEcho is the server's end of a stream: it says what it hears.
type fuzzEcho struct{ waits, closed bool }

func (u *fuzzEcho) Opened(*Stream, []byte) {}
func (u *fuzzEcho) Ended(*Stream)          {}

func (u *fuzzEcho) Received(s *Stream, message []byte) {
	more, err := s.Send(bytes.Clone(message))
	if err != nil {
		s.Reset(ResourceExhausted, err.Error())
	} else if u.waits = !more; more {
		s.Receive()
	}
}

func (u *fuzzEcho) Sent(s *Stream) {
	u.waits = false
	if u.closed {
		s.End(OK, "", []byte("bye"))
	} else {
		s.Receive()
	}
}

func (u *fuzzEcho) Closed(s *Stream) {
	if u.closed = true; !u.waits {
		s.End(OK, "", []byte("bye"))
	}
}

// fuzzStream is the client's end: it checks what it hears, if nobody meddles.
type fuzzStream struct {
	*Stream
	w               *fuzzWorld
	on              *Session
	size            int
	sent, got       int
	waits, withdrew bool
	over            bool
}

// stream opens a stream that says so many messages of a size, and then more.
func (w *fuzzWorld) stream(s *Session, count, size int) {
	if len(w.streams) > 50 {
		return
	}
	u := &fuzzStream{w: w, on: s, size: size}
	u.Stream = &Stream{Method: echo, Header: pattern(size/3, 2), Timeout: 50 * time.Millisecond, User: u}
	w.streams = append(w.streams, u)
	s.Open(u.Stream)
	u.Receive()
	u.say(count % 16)
}

func (u *fuzzStream) say(count int) {
	for range count {
		if u.waits || !u.Writable() {
			return
		}
		more, err := u.Send(pattern(u.size, byte(u.sent)))
		if err != nil {
			return // longer than the other side takes
		}
		u.sent++
		u.waits = !more
	}
}

func (u *fuzzStream) meddled() bool { return u.on != u.w.seen && u.w.tampered }

func (u *fuzzStream) Opened(*Stream, []byte) { require.True(u.w.t, u.meddled()) }
func (u *fuzzStream) Closed(*Stream)         {}
func (u *fuzzStream) Sent(*Stream)           { u.waits = false }

func (u *fuzzStream) Received(_ *Stream, message []byte) {
	require.False(u.w.t, u.over, "a stream that is over speaks")
	if !u.meddled() {
		require.Equal(u.w.t, pattern(u.size, byte(u.got)), message)
		u.got++
	}
	u.Receive()
}

func (u *fuzzStream) Ended(*Stream) {
	require.False(u.w.t, u.over, "a stream ended twice")
	u.over = true
	switch {
	case u.meddled() || u.w.stalled || u.withdrew || u.on.closed:
	case u.Err == nil:
		require.Equal(u.w.t, u.sent, u.got)
		require.Equal(u.w.t, "bye", string(u.Trailer))
	default:
		require.Contains(u.w.t, []Code{ResourceExhausted, DeadlineExceeded}, CodeOf(u.Err))
	}
}

// garbage arrives from somebody who knows nothing, but perhaps how to write
// another's address.
func (w *fuzzWorld) garbage(a arguments) {
	toClient, form := a.byte()&1 != 0, a.byte()
	d, other := w.server, w.client
	if form&8 != 0 {
		other = w.witness
	}
	if toClient {
		d, other = other, d
	}
	data := append([]byte(nil), a...)
	if form&1 != 0 && len(data) < wire.MinHello {
		data = append(data, make([]byte, wire.MinHello-len(data))...)
	}
	if form&2 != 0 && len(data) >= wire.HeaderSize+wire.ChecksumSize {
		wire.Seal(data, nil)
	}
	if form&(4|8) != 0 {
		w.feed(d, other.addr, data)
		return
	}
	w.fromStranger += len(data)
	w.feed(d, w.stranger.addr, data)
}

// replay sends a recorded datagram again: with some bytes changed, with the
// tokens and number that are right now, with a right checksum.
func (w *fuzzWorld) replay(a arguments) {
	r := w.recorded[int(a.byte())%len(w.recorded)]
	form := a.byte()
	data := append([]byte(nil), r.data...)
	for len(a) >= 2 {
		data[int(a.byte())%len(data)] ^= a.byte()
	}
	p := w.n.secretOf(r.to, r.from)
	if form&1 != 0 {
		binary.LittleEndian.PutUint32(data[4:], p.index)
		binary.LittleEndian.PutUint32(data[8:], p.token)
	}
	if form&2 != 0 {
		binary.LittleEndian.PutUint32(data[12:], p.next+uint32(int8(form)>>4)*64)
	}
	if form&4 != 0 && len(data) >= wire.HeaderSize+wire.ChecksumSize {
		wire.Seal(data, nil)
	}
	w.tampered = true
	ecn := transport.NotECT
	if form&8 != 0 {
		ecn = transport.CE
	}
	r.to.port.Deliver(r.from.addr, data, ecn)
}

// message forges one message whose lengths are right.
func (w *fuzzWorld) message(a arguments) {
	d, p := w.peer(&a)
	m := wire.Message{MessageHeader: wire.MessageHeader{
		Kind:    wire.Kind(1 + a.byte()%10),
		Session: uint16(a.byte()), Slot: uint16(a.byte()), Generation: a.uint16(),
		Sequence: uint32(a.uint16()),
		Method:   uint16(a.byte()), Code: 0,
	}}
	length := int(a.byte())
	if (m.Kind <= wire.Response || m.Kind >= wire.StreamHeader && m.Kind <= wire.StreamEnd) && length&1 != 0 {
		m.Flags = wire.FlagFragment
		m.Stride = wire.MinFragment + uint16(a.byte())
		m.Total, m.Index = uint32(a.byte())<<8|uint32(length), uint32(a.byte())
		offset := m.Index * uint32(m.Stride)
		length = int(min(uint32(m.Stride), m.Total-min(m.Total, offset)))
	}
	m.Code = a.byte()
	if m.Kind == wire.Request || m.Kind == wire.StreamHeader {
		options := a.byte()
		if options&1 != 0 {
			m.Flags |= wire.FlagDeadline
			m.Deadline = uint32(a.uint16())
		}
		if options&2 != 0 {
			m.Flags |= wire.FlagTrace
			m.Trace.TraceID[0], m.Trace.SpanID[0] = a.byte(), a.byte()
		}
	}
	body := make([]byte, m.HeaderSize()+length)
	m.Put(body, length)
	w.forge(d, p, wire.Header{Type: wire.Data, Flags: wire.FlagAckNow}, body)
}

// ack forges an acknowledgement of packets of late.
func (w *fuzzWorld) ack(a arguments) {
	d, p := w.peer(&a)
	h := wire.Header{Type: wire.Ack}
	h.Acks = wire.AckBlock{
		Largest: w.sentBy(d, p) + uint32(int8(a.byte())), Delay: a.uint16(), Words: a.byte() % (wire.MaxAckWords + 1), CE: a.uint16(),
	}
	for i := range h.Acks.Words {
		h.Acks.Bitmap[i] = uint64(a.uint32()) | uint64(a.uint32())<<32
	}
	w.forge(d, p, h, nil)
}

// sentBy is the number of d's next packet of a connection.
func (w *fuzzWorld) sentBy(d *node, p *secret) uint32 {
	for _, s := range w.n.secrets {
		if s.at == p.peer && s.peer == d.addr {
			return s.next
		}
	}
	return 1
}

// hello connects to the server from mallory's address, with any parameters.
func (w *fuzzWorld) hello(a arguments) {
	body := wire.HelloBody{Connection: uint32(a.byte()), Token: uint32(a.byte())}
	body.Params = wire.Params{
		Credits: 1 + a.uint16(), Slots: 1 + a.uint16(), Sessions: 1 + a.uint16(),
		MaxDatagram: wire.MinHello + a.uint32(), KeepAlive: 1 + a.uint32(), AckDelay: a.uint16(),
		MaxMessage: a.uint32(), ReceiveWindow: a.uint32(), Features: a.uint32(),
	}
	w.feed(w.server, w.mallory.addr, helloDatagram(&body))
	w.n.react()
	body.Cookie = w.cookie
	w.feed(w.server, w.mallory.addr, helloDatagram(&body))
}

// check looks at the bounds and accounts of those that are attacked.
func (w *fuzzWorld) check() {
	require.LessOrEqual(w.t, w.forStranger, w.fromStranger, "amplifies what a stranger sends")
	for _, d := range []*node{w.server, w.client, w.witness} {
		d.checkAccounts(2, w.calls-w.completed)
	}
}

// finish lets the attack end, and checks that it left nothing behind.
func (w *fuzzWorld) finish() {
	w.loss, w.narrow = 0, false
	w.server.port.Stuck(false)
	w.server.port.Withhold(0)
	w.n.run(w.cfg.ConnectTimeout + w.cfg.KeepAlive)
	require.Equal(w.t, w.calls, w.completed, "a call hangs")
	for _, u := range w.streams {
		require.True(w.t, u.over, "a stream hangs")
	}
	for _, r := range w.deferred {
		r.Reply(r.Data)
	}
	w.session.Close()
	for _, s := range w.dialed {
		s.Close()
	}
	w.n.run(w.cfg.ConnectTimeout + w.cfg.KeepAlive)
	require.Zero(w.t, w.pings, "a ping hangs")
	w.check()
	w.tampered, w.stalled = false, false
	w.session = w.n.connect(w.client, w.server)
	w.call(w.seen, echo, 3000)
	w.call(w.session, echo, 3000)
	w.n.run(10 * time.Millisecond)
	require.Equal(w.t, w.calls, w.completed)
	w.check()
	for _, d := range []*node{w.client, w.witness} {
		require.Equal(w.t, 1, d.Stats().Peers)
		require.Zero(w.t, d.controlling)
	}
	require.Equal(w.t, 2, w.server.sessions)
	require.Equal(w.t, 2, w.server.Stats().Peers)
	require.Zero(w.t, w.server.held)
	require.Zero(w.t, w.server.servedStreams)
	for _, d := range []*node{w.server, w.client, w.witness} {
		require.Zero(w.t, d.streaming)
	}
	require.Zero(w.t, w.server.buffers.lent)
}

// FuzzAssembly puts a message together from fragments that come in any order,
// again, cut anew in smaller pieces, and amid those of another message.
func FuzzAssembly(f *testing.F) {
	f.Add(uint16(2000), []byte{0, 0, 0, 1, 0, 2, 0, 3})
	f.Add(uint16(2000), []byte{200, 1, 200, 0, 0, 3, 0, 1, 200, 2, 0, 0, 0, 2})
	f.Add(uint16(2000), []byte{0, 0, 255, 1, 0, 1, 0, 2, 0, 3, 0, 4})
	f.Add(uint16(2000), []byte{0, 0, 0, 0x81, 0, 1, 0, 2, 0, 3, 0, 4})
	f.Add(uint16(65535), []byte{255, 3})
	f.Fuzz(func(t *testing.T, size uint16, fragments []byte) {
		message := pattern(wire.MinFragment+1+int(size), 5)
		var a assembly
		least, got := 0, map[int]bool{}
		for i := 0; i+1 < len(fragments); i += 2 {
			stride := wire.MinFragment + int(fragments[i])
			index, foreign := int(fragments[i+1]&0x7F), fragments[i+1]&0x80 != 0
			at := index * stride
			if stride >= len(message) || at >= len(message) {
				continue
			}
			m := wire.Message{MessageHeader: wire.MessageHeader{Kind: wire.Request, Flags: wire.FlagFragment, Total: uint32(len(message)), Stride: uint16(stride),
				Index: uint32(index)}, Body: message[at:min(at+stride, len(message))]}
			if foreign {
				m.Total, m.Body = m.Total+1, make([]byte, len(m.Body))
				require.False(t, least != 0 && a.add(&m))
				continue
			}
			if least == 0 {
				a.begin(&m, make([]byte, len(message)))
			}
			if least == 0 || stride < least {
				least = stride
				clear(got)
			}
			if stride == least {
				got[at] = true
			}
			complete := a.add(&m)
			require.Equal(t, len(got) == (len(message)+least-1)/least, complete)
			if complete {
				require.True(t, string(message) == string(a.buf), "the message differs")
				return
			}
		}
	})
}
