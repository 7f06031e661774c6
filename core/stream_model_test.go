package core

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
)

// modelStream is what the two ends of a stream may see, whatever the network does:
// of what the other end has sent a beginning, in order, each message once and whole.
type modelStream struct {
	id     int
	client *modelEnd
	server *modelEnd // nil until its handler has run
}

// modelEnd is one end of a stream, and its user.
type modelEnd struct {
	*Stream
	w        *world
	of       *modelStream
	on       *Endpoint
	slow     bool // asks for messages one by one
	timeout  bool
	sent     int // messages
	got      int
	lent     []byte // in Send
	said     Code   // of the server's End
	ended    bool   // said that it sends no more
	closed   bool   // was told that the other sends no more
	over     bool
	orphaned bool // its endpoint was killed
}

func (e *modelEnd) other() *modelEnd {
	if e == e.of.client {
		return e.of.server
	}
	return e.of.client
}

// message is the next that e sends, or what the other end should receive as its nth.
func (e *modelEnd) message(n int) []byte {
	side := 0
	if e == e.of.client {
		side = 1
	}
	seed := e.of.id*7919 + side*104729 + n*1299709
	size := []int{0, 7, 100, 100, 600, 1300, 5000, 17_000, 40_000}[seed%9]
	b := pattern(size, byte(seed>>4))
	if size >= 8 {
		binary.LittleEndian.PutUint64(b, uint64(seed))
	}
	return b
}

func (e *modelEnd) alive() bool { return !e.over && !e.orphaned }

func (e *modelEnd) told() {
	require.False(e.w.t, e.over, "stream %d: told after its end", e.of.id)
	require.False(e.w.t, e.orphaned, "stream %d: a dead endpoint tells", e.of.id)
}

func (e *modelEnd) Opened(_ *Stream, header []byte) {
	e.told()
	require.Zero(e.w.t, e.got, "stream %d: its header comes late", e.of.id)
	require.Equal(e.w.t, uint32(e.of.id), binary.LittleEndian.Uint32(header))
}

func (e *modelEnd) Received(_ *Stream, message []byte) {
	e.told()
	from := e.other()
	require.Less(e.w.t, e.got, from.sent, "stream %d: a message that nobody has sent", e.of.id)
	require.True(e.w.t, string(from.message(e.got)) == string(message), "stream %d: message %d is another one", e.of.id, e.got)
	e.got++
	if !e.slow {
		e.Receive()
	}
}

func (e *modelEnd) Closed(*Stream) {
	e.told()
	require.False(e.w.t, e.closed, "stream %d: closed twice", e.of.id)
	require.True(e.w.t, e.other().ended)
	require.Equal(e.w.t, e.other().sent, e.got, "stream %d: closed, but messages are missing", e.of.id)
	e.closed = true
}

func (e *modelEnd) Sent(*Stream) {
	e.told()
	require.NotNil(e.w.t, e.lent, "stream %d: Sent without a Send", e.of.id)
	e.giveBack()
}

func (e *modelEnd) Ended(*Stream) {
	e.told()
	e.over = true
	if e.lent != nil {
		e.giveBack()
	}
	client := e == e.of.client
	switch code := CodeOf(e.Err); {
	case client && e.other() != nil && e.other().ended && code == e.other().said: // also if either of them withdrew later
		require.Equal(e.w.t, e.other().sent, e.got, "stream %d: ended in order, but messages are missing", e.of.id)
	case code == OK:
		require.False(e.w.t, client, "stream %d: ended without a word of its server", e.of.id)
		require.True(e.w.t, e.ended)
	case code == Canceled:
	case code == DeadlineExceeded:
		require.True(e.w.t, e.of.client.timeout, "stream %d has no deadline", e.of.id)
	default:
		require.Contains(e.w.t, []Code{Unavailable, ResourceExhausted, Unimplemented, Aborted}, code, "stream %d: %v", e.of.id, e.Err)
	}
}

func (e *modelEnd) giveBack() {
	scrawl(e.lent)
	e.w.buffers = append(e.w.buffers, e.lent)
	e.lent = nil
}

// say sends messages until one has to wait.
func (e *modelEnd) say(count int) {
	for range count {
		if !e.alive() || e.lent != nil || !e.Writable() {
			return
		}
		data := bytes.Clone(e.message(e.sent))
		if data == nil {
			data = []byte{}
		}
		e.lent = data
		e.sent++
		more, err := e.Send(data)
		require.NoError(e.w.t, err)
		if more {
			e.giveBack()
		}
	}
}

// finish has e send no more.
func (e *modelEnd) finish(code Code) {
	if !e.alive() || e.ended || !e.Writable() {
		return
	}
	e.ended, e.said = true, code
	if e == e.of.client {
		e.CloseSend()
	} else {
		e.End(code, "as it was asked for", nil)
	}
}

// What may happen.

func (w *world) openStream() {
	s := w.anySession()
	m := &modelStream{id: len(w.streams)}
	w.streams = append(w.streams, m)
	timeout := []time.Duration{0, 0, 0, 5 * time.Millisecond}[w.draw(4, "timeout")]
	e := &modelEnd{w: w, of: m, on: s.client.Endpoint, slow: w.odds(3, "slow client"), timeout: timeout > 0}
	m.client = e
	header := binary.LittleEndian.AppendUint32(nil, uint32(m.id))
	header = append(header, make([]byte, []int{0, 100, 3000}[w.draw(3, "header")])...)
	e.Stream = &Stream{Method: streamed, Header: header, Timeout: timeout, User: e}
	s.Open(e.Stream)
	if !e.slow {
		e.Receive()
	}
}

// acceptStreams gives an endpoint its handler of streams.
func (w *world) acceptStreams(d *node) {
	on := d.Endpoint
	d.HandleStream(streamed, func(s *Stream) {
		id := int(binary.LittleEndian.Uint32(s.Header))
		require.Less(w.t, id, len(w.streams))
		m := w.streams[id]
		require.Nil(w.t, m.server, "stream %d was opened twice", id)
		m.server = &modelEnd{Stream: s, w: w, of: m, on: on, slow: w.odds(3, "slow server")}
		s.User = m.server
		if w.odds(2, "answers with a header") {
			require.NoError(w.t, s.SendHeader(s.Header[:idSize]))
		}
		if !m.server.slow {
			s.Receive()
		}
	})
}

// anyEnd is one of a stream that is not over.
func (w *world) anyEnd() *modelEnd {
	var live []*modelEnd
	for _, m := range w.streams {
		for _, e := range []*modelEnd{m.client, m.server} {
			if e != nil && e.alive() {
				live = append(live, e)
			}
		}
	}
	if len(live) == 0 {
		return nil
	}
	return live[w.draw(len(live), "end of a stream")]
}

func (w *world) speak() {
	if e := w.anyEnd(); e != nil {
		e.say(1 + w.draw(8, "messages"))
	}
}

func (w *world) listen() {
	if e := w.anyEnd(); e != nil {
		e.Receive()
	}
}

func (w *world) finishStream() {
	if e := w.anyEnd(); e != nil {
		e.finish([]Code{OK, Aborted}[w.draw(2, "code")])
	}
}

func (w *world) resetStream() {
	if e := w.anyEnd(); e != nil {
		e.Reset(Canceled, "not wanted")
	}
}

// killStreams is the end of an endpoint, which tells nobody any more.
func (w *world) killStreams(on *Endpoint) {
	for _, m := range w.streams {
		for _, e := range []*modelEnd{m.client, m.server} {
			if e != nil && e.on == on && !e.over {
				e.orphaned = true
			}
		}
	}
}

// hear has everybody read on.
func (w *world) hear() {
	for _, m := range w.streams {
		for _, e := range []*modelEnd{m.client, m.server} {
			if e != nil && e.alive() {
				e.slow = false
				e.Receive()
			}
		}
	}
}

// concludeStreams checks that all that was sent on a stream that is open arrives once
// it is read, and ends them all.
func (w *world) concludeStreams() {
	for _, m := range w.streams {
		c, s := m.client, m.server
		if !c.alive() || s == nil || !s.alive() {
			continue
		}
		require.True(w.t, c.lent == nil, "stream %d: what the client sends is stuck", m.id)
		require.True(w.t, s.lent == nil, "stream %d: what the server sends is stuck", m.id)
		require.Equal(w.t, s.sent, c.got, "stream %d: messages to the client are stuck", m.id)
		if !s.ended {
			require.Equal(w.t, c.sent, s.got, "stream %d: messages to the server are stuck", m.id)
		}
	}
	for _, m := range w.streams {
		for _, e := range []*modelEnd{m.client, m.server} {
			if e != nil {
				e.finish(OK)
			}
		}
	}
}

// streamsOver checks that all streams have ended.
func (w *world) streamsOver() {
	for _, m := range w.streams {
		for _, e := range []*modelEnd{m.client, m.server} {
			require.True(w.t, e == nil || !e.alive(), "stream %d never ended", m.id)
		}
	}
	require.False(w.t, slices.ContainsFunc(w.nodes, func(d *node) bool { return d.streaming+d.servedStreams+len(d.turns) > 0 }))
}
