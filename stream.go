package peregrine

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"
	"unique"

	"github.com/peregrine-rpc/peregrine/core"
)

// Stream is one end of a stream: two sequences of messages, one each way, between a
// client and the handler of a method. Each message arrives once, whole and in order,
// or the stream ends with an error. A stream takes no request slot; thousands may be
// open in a session (Config.Streams).
//
// A reader who does not Recv stops the sender at the other end, once what the two
// sides have room for is full, and no other stream.
//
// One goroutine may send while another receives, and any may call Cancel and the rest.
// Send, Recv and Header wait, so that on a loop of the stream's endpoint they return
// [ErrOnLoop]. A client must see a stream to its end: Recv until it fails, or Cancel,
// or end its context.
type Stream struct {
	loop   *loop
	stream *core.Stream // for the loop alone
	client bool
	method uint16
	named  *named // a client's
	peer   unique.Handle[netip.AddrPort]
	tls    *tls.ConnectionState // a handler's
	turn   func()               // does what the user has asked for, on the loop
	trace  *Trace               // nil: none

	mu       sync.Mutex
	ctx      context.Context // of a served stream nil until somebody asks for it
	cancel   func()          // likewise
	undo     func() bool     // of what the end of a client's context does
	onEnd    func(error)
	changed  sync.Cond
	in, out  lane
	large    []byte // a message that is sent from its sender's memory; nil: none
	largeIn  bool   // the loop has it
	header   []byte // of the other side
	trailer  []byte // of the server
	headed   bool   // the other side's header is known, or there will be none
	own      []byte // the server's header, not sent yet; nil: none
	sent     bool   // the server sent something: a header would be late
	finished bool   // this side sends no more
	code     Code   // the handler's answer, and text
	text     string
	closed   bool   // the client sends no more
	posted   bool   // turn is in the loop's inbox
	starved  bool   // the engine was not asked for the next message
	deaf     bool   // the other side takes no more
	joins    bool   // messages may travel joined
	room     int    // as long as this; 0: nothing is known, or they may not
	over     bool   // the engine is done with the stream
	quit     *Error // why the client has given the stream up; nil: it has not
	err      error  // how it ended

	blocked bool // for the loop alone: the engine takes no message before Sent
}

// StreamHandler serves a stream, on a goroutine of its own. When it returns, the
// stream ends at the client behind all that was sent: nil is OK, an [*Error] its code
// and message, any other error, or one that says OK, Unknown. The stream must not be used after that. If it
// panics or ends its goroutine, the stream ends with Internal.
type StreamHandler func(*Stream) error

// Method is the number that the client asked for; 0 at a client who did so by name.
func (st *Stream) Method() uint16 { return st.method }

// Name is the method's, if it is known by name; else "".
func (st *Stream) Name() string {
	if st.client {
		return Method{named: st.named}.Name()
	}
	return st.loop.endpoint.MethodName(st.method)
}

// Peer is the address of the other side, as it was when the stream was opened.
func (st *Stream) Peer() netip.AddrPort { return st.peer.Value() }

// Trace is what the client says that the stream is part of, by [ContextWithTrace]; the
// zero Trace: nothing.
func (st *Stream) Trace() Trace {
	if st.trace == nil {
		return Trace{}
	}
	return *st.trace
}

// SetTrace has a handler's Context, if that was not asked for yet, be part of a trace:
// that of a span of its own, in place of the client's. It is for interceptors; a trace
// that is not valid changes nothing.
func (st *Stream) SetTrace(trace Trace) {
	if !st.client && trace.IsValid() {
		st.trace = &trace
	}
}

// Context is the one that a client opened the stream with. A handler's has the
// stream's deadline and [Stream.Trace], and ends when the stream does.
func (st *Stream) Context() context.Context {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ctx == nil { // most handlers do not ask, and idle ones are many
		base := context.Background()
		if trace := st.Trace(); trace.IsValid() {
			base = ContextWithTrace(base, trace)
		}
		if at := st.stream.Deadline; at != 0 {
			st.ctx, st.cancel = context.WithDeadline(base, st.loop.epoch.Add(at))
		} else {
			st.ctx, st.cancel = context.WithCancel(base)
		}
		if st.over || st.finished {
			st.cancel()
		}
	}
	return st.ctx
}

// errFinished is what Send says after CloseSend.
var errFinished = &Error{Code: Internal, Message: "Send after CloseSend, or after the handler has returned"}

// Send sends a message, which it has copied when it returns. It waits while there is
// no room for it, because the other side does not receive. Where the stream has ended
// it returns io.EOF at a client, and [Stream.Recv] says why; at a server the reason.
// That Send returns nil does not say that the message has arrived.
//
// A message longer than the other side takes ends the stream with ResourceExhausted.
func (st *Stream) Send(message []byte) error {
	if st.loop.endpoint.here() {
		return ErrOnLoop
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		switch {
		case st.finished:
			return errFinished
		case st.over && !st.client && st.err != nil:
			return st.err
		case st.over || st.deaf || st.quit != nil:
			return io.EOF
		case st.large == nil && st.out.waiting == 0 && len(message) > laneRoom:
			return st.sendLarge(message)
		case st.large == nil && st.out.waiting+len(message) <= laneRoom:
			st.sent = true
			st.out.put(message, st.room)
			st.ask()
			return nil
		}
		st.changed.Wait()
	}
}

// Join lets messages of this side travel joined: those that wait for the loop at the
// same time, as long as they fit one datagram, reach the other side as one message, each
// right behind the one before. It is for messages that tell themselves where they end,
// and saves most of what a short one costs. Call it before the first Send.
func (st *Stream) Join() {
	st.mu.Lock()
	st.joins = true
	st.mu.Unlock()
}

// sendLarge has the engine read a message where it is, and waits until it has.
func (st *Stream) sendLarge(message []byte) error {
	st.sent = true
	st.large = message
	st.ask()
	for st.large != nil && st.quit == nil {
		st.changed.Wait()
	}
	switch {
	case st.over && !st.client && st.err != nil:
		return st.err
	case st.over || st.deaf:
		return io.EOF
	case st.large == nil:
		return nil
	case !st.largeIn:
		st.large = nil
		return io.EOF
	}
	// The engine reads the message until it hears that the stream has been given up.
	held := false
	timer := time.AfterFunc(patience, func() {
		st.mu.Lock()
		held = true
		st.mu.Unlock()
		st.changed.Broadcast()
	})
	defer timer.Stop()
	for st.large != nil && !held {
		st.changed.Wait()
	}
	if st.large != nil {
		return fmt.Errorf("%w: %w", st.quit, ErrLoopHeld)
	}
	return io.EOF
}

// SendHeader sends what [Stream.Header] returns at the client. It is a handler's, and
// comes before its first Send. header is copied.
func (st *Stream) SendHeader(header []byte) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.client || st.sent || st.finished {
		return &Error{Code: Internal, Message: "SendHeader is for handlers, once, before Send"}
	}
	st.own, st.sent = append(empty, header...), true
	st.ask()
	return nil
}

// SetTrailer sets what [Stream.Trailer] returns at the client, in place of what was
// set before. It is a handler's. trailer is copied.
func (st *Stream) SetTrailer(trailer []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.client && !st.finished {
		st.trailer = append([]byte(nil), trailer...)
	}
}

// CloseSend says that a client sends no more: the handler's Recv returns io.EOF behind
// what was sent. The client still receives.
func (st *Stream) CloseSend() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.client && !st.finished {
		st.finished = true
		st.ask()
	}
	return nil
}

// End ends the stream as the handler's return of err would, before it returns; what it
// returns then does not count. At a client, which has CloseSend and Cancel, it does
// nothing.
func (st *Stream) End(err error) {
	if !st.client {
		code, text := outcome(err)
		st.finish(code, text)
	}
}

// finish ends a served stream; only the first time counts.
func (st *Stream) finish(code Code, text string) {
	st.mu.Lock()
	if !st.finished {
		st.finished, st.code, st.text = true, code, text
		st.ask()
	}
	cancel := st.cancel
	st.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Recv returns the next message, in buf if it fits buf's capacity, and in new memory
// otherwise; buf may be nil. It waits until there is one. At the end it returns io.EOF:
// at a handler once the client sends no more, at a client once the handler has
// returned nil. Any other error is how the stream ended, an *Error; of a client whose
// context has ended it matches ctx.Err() as well.
func (st *Stream) Recv(buf []byte) ([]byte, error) {
	if st.loop.endpoint.here() {
		return nil, ErrOnLoop
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	message, err := st.next()
	if err != nil {
		return nil, err
	}
	buf = append(buf[:0], message...)
	if buf == nil {
		buf = empty
	}
	st.in.tidy()
	return buf, nil
}

// Next is Recv without a copy: the message is valid until the next call of Next or
// Recv, and must not be written to.
func (st *Stream) Next() ([]byte, error) {
	if st.loop.endpoint.here() {
		return nil, ErrOnLoop
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.next()
}

// next waits for a message, which is valid until st.in is looked at again. st.mu is held.
func (st *Stream) next() ([]byte, error) {
	if st.loop.poisons {
		st.in.spoil()
	}
	for {
		if st.quit != nil {
			return nil, st.quit
		}
		if message, ok := st.in.take(); ok {
			if st.starved && st.in.waiting < laneRoom/2 {
				st.ask()
			}
			return message, nil
		}
		switch {
		case st.over && st.err != nil:
			return nil, st.err
		case st.over || st.closed:
			return nil, io.EOF
		}
		st.changed.Wait()
	}
}

// Header is what the other side has sent at the beginning. A client waits for the
// server's: until that sends a header or a message, or the stream ends. It is nil if
// there was none. The error says how the stream ended before.
func (st *Stream) Header() ([]byte, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for !st.headed {
		switch {
		case st.quit != nil:
			return nil, st.quit
		case st.over:
			return nil, st.err // not nil, or it were known that there is none
		case st.loop.endpoint.here():
			return nil, ErrOnLoop
		}
		st.changed.Wait()
	}
	return st.header, nil
}

// Trailer is what the handler has set by SetTrailer. A client has it once Recv has
// returned an error.
func (st *Stream) Trailer() []byte {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.trailer
}

// Cancel ends the stream, at both sides, if it has not ended. It is a client's, for a
// stream that it does not see to its end.
func (st *Stream) Cancel() {
	if st.client {
		st.give(&Error{Code: Canceled, Message: "canceled by the caller", MayHaveExecuted: true})
	}
}

// give gives the stream up.
func (st *Stream) give(why *Error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.quit == nil && !st.over {
		st.quit = why
		st.ask()
		st.changed.Broadcast()
	}
}

// OnEnd has f called once the stream has ended, and nothing of it goes on, in place of
// any former f: with nil where the handler returned nil, else with what Recv returns. f
// runs on the stream's loop, or at once if the stream has ended, and must not block.
func (st *Stream) OnEnd(f func(err error)) {
	st.mu.Lock()
	over, err := st.over, st.err
	st.onEnd = f
	st.mu.Unlock()
	if over && f != nil {
		f(err)
	}
}
