package peregrine

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

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
	stream *core.Stream // for the loop alone, like begin
	begin  func()
	client bool
	method uint16
	name   string // a client's
	peer   netip.AddrPort
	ctx    context.Context
	cancel func()      // of a served stream's context
	undo   func() bool // of what the end of a client's context does
	onEnd  func(error)
	turn   func()      // does what the user has asked for, on the loop

	mu       sync.Mutex
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
	over     bool   // the engine is done with the stream
	quit     *Error // why the client has given the stream up; nil: it has not
	err      error  // how it ended

	blocked bool // for the loop alone: the engine takes no message before Sent
}

// StreamHandler serves a stream, on a goroutine of its own. When it returns, the
// stream ends at the client behind all that was sent: nil is OK, an [*Error] its code
// and message, any other error Unknown. The stream must not be used after that. If it
// panics or ends its goroutine, the stream ends with Internal.
type StreamHandler func(*Stream) error

// Stream opens a stream of a method. It does not wait for the server: an error of the
// connection or the server shows in Recv. header is what the server's handler finds in
// [Stream.Header]; it is copied. A deadline of ctx travels to the server; when ctx
// ends, so does the stream, at both sides.
func (s *Session) Stream(ctx context.Context, method uint16, header []byte) (*Stream, error) {
	return Method{session: s, number: method}.Stream(ctx, header)
}

// Stream opens a stream of the method, as [Session.Stream] does; of one known by name
// it waits for the number, if that is not known.
func (m Method) Stream(ctx context.Context, header []byte) (*Stream, error) {
	if m.session == nil || m.session.loop == nil {
		return nil, errNotOpen
	}
	if open := m.session.endpoint.stream; open != nil {
		return open(ctx, m, header)
	}
	return m.stream(ctx, header)
}

func (m Method) stream(ctx context.Context, header []byte) (*Stream, error) {
	known := binding{number: m.number}
	if m.named != nil {
		var err error
		if known, err = m.binding(ctx); err != nil {
			return nil, err
		}
	}
	s := m.session
	timeout := time.Duration(0)
	deadline, ok := ctx.Deadline()
	if ok {
		timeout = time.Until(deadline)
	}
	if ctx.Err() != nil || ok && timeout <= 0 {
		return nil, ended(ctx, false)
	}
	st := &Stream{loop: s.loop, client: true, method: m.number, name: m.Name(), peer: s.Peer(), ctx: ctx}
	st.prepare(&core.Stream{
		Method: known.number, Tied: known.connection,
		Header: append([]byte(nil), header...), Timeout: timeout, WaitForReady: s.waitsForReady(ctx),
	})
	st.begin = func() {
		s.session.Open(st.stream)
		st.stream.Receive()
	}
	if s.loop.here() {
		st.begin()
	} else if !s.loop.post(message{do: st.begin}) {
		return nil, errClosed
	}
	if ctx.Done() != nil {
		st.until(context.AfterFunc(ctx, func() { st.give(ended(ctx, true)) }))
	}
	return st, nil
}

// until has undo be called when the stream ends.
func (st *Stream) until(undo func() bool) {
	st.mu.Lock()
	over := st.over
	st.undo = undo
	st.mu.Unlock()
	if over {
		undo()
	}
}

// prepare makes st the user of an engine's stream.
func (st *Stream) prepare(stream *core.Stream) {
	st.stream = stream
	st.stream.User = (*streamUser)(st)
	st.changed.L = &st.mu
	st.turn = st.take
}

// HandleStream sets the handler of a method's streams, on all loops, in place of the
// one it may have; nil removes it. Calls of the method have a handler of their own.
func (e *Endpoint) HandleStream(method uint16, h StreamHandler) error {
	if len(e.loops) == 0 {
		return errNotOpen
	}
	if err := e.names.take(method); err != nil {
		return err
	}
	return e.setStreamHandler(method, h)
}

func (e *Endpoint) setStreamHandler(method uint16, h StreamHandler) error {
	if h != nil {
		var err error
		if h, err = intercepted(e.streamInterceptors, h); err != nil {
			return err
		}
	}
	return e.onLoops(func(l *loop) { l.handleStream(method, h) })
}

// handleStream sets a method's handler of streams in the engine.
func (l *loop) handleStream(method uint16, h StreamHandler) {
	if h == nil {
		l.engine.HandleStream(method, nil)
		return
	}
	l.engine.HandleStream(method, func(s *core.Stream) {
		st := &Stream{loop: l, method: method, peer: s.Peer(), header: append([]byte(nil), s.Header...), headed: true}
		if s.Deadline != 0 {
			st.ctx, st.cancel = context.WithDeadline(context.Background(), l.epoch.Add(s.Deadline))
		} else {
			st.ctx, st.cancel = context.WithCancel(context.Background())
		}
		st.prepare(s)
		s.Hold()
		s.Receive()
		go st.serve(h)
	})
}

// serve runs the handler, and ends the stream as it says.
func (st *Stream) serve(h StreamHandler) {
	code, text := Internal, ""
	returned := false
	defer func() {
		if !returned {
			text = st.loop.endpoint.mishaps.caught(recover(), st.method, st.peer)
		}
		st.finish(code, text)
		st.loop.post(message{do: st.stream.Release})
	}()
	err := h(st)
	returned = true
	code, text = outcome(err)
}

// outcome is the code and text of what a handler returns.
func outcome(err error) (Code, string) {
	if err == nil {
		return OK, ""
	}
	return status(err)
}

// Method is the number that the client asked for; 0 at a client who did so by name.
func (st *Stream) Method() uint16 { return st.method }

// Name is the method's, if it is known by name; else "".
func (st *Stream) Name() string {
	if st.client {
		return st.name
	}
	return st.loop.endpoint.MethodName(st.method)
}

// Peer is the address of the other side, as it was when the stream was opened.
func (st *Stream) Peer() netip.AddrPort { return st.peer }

// Context is the one that a client opened the stream with. A handler's has the
// stream's deadline, and ends when the stream does.
func (st *Stream) Context() context.Context { return st.ctx }

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
			st.out.put(message)
			st.ask()
			return nil
		}
		st.changed.Wait()
	}
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
	st.mu.Unlock()
	st.cancel()
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
	for {
		if st.quit != nil {
			return nil, st.quit
		}
		if message, ok := st.in.take(); ok {
			buf = append(buf[:0], message...)
			if buf == nil {
				buf = empty
			}
			st.in.tidy()
			if st.starved && st.in.waiting < laneRoom/2 {
				st.ask()
			}
			return buf, nil
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

// ask has the loop do what is to be done. A loop that takes no more is about to end the
// stream, with the engine, which may still read what is sent. st.mu is held.
func (st *Stream) ask() {
	if st.posted || st.over {
		return
	}
	st.posted = true
	st.loop.post(message{do: st.turn})
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

// end notes that the engine is done with the stream. st.mu is held.
func (st *Stream) end(err error) {
	st.over, st.headed = true, st.headed || err == nil
	if st.err == nil {
		st.err = err
	}
	st.large, st.largeIn = nil, false
	st.out = lane{}
	st.changed.Broadcast()
}

// take does what the user has asked for, on the loop.
func (st *Stream) take() {
	st.mu.Lock()
	st.posted = false
	quit, over := st.quit, st.over
	receive := st.starved && st.in.waiting < laneRoom/2
	if receive {
		st.starved = false
	}
	st.mu.Unlock()
	switch {
	case over:
	case quit != nil:
		st.stream.Reset(quit.Code, quit.Message)
	default:
		if receive {
			st.stream.Receive()
		}
		st.push()
	}
}

// push gives the engine what is to be sent, as long as that takes more.
func (st *Stream) push() {
	for !st.blocked {
		st.mu.Lock()
		if !st.stream.Writable() {
			st.deaf = true
			st.changed.Broadcast()
			st.mu.Unlock()
			return
		}
		header := st.own
		st.own = nil
		message, ok := st.out.take()
		if !ok && st.large != nil && !st.largeIn {
			message, ok, st.largeIn = st.large, true, true
		}
		large, finished := st.largeIn, st.finished
		st.changed.Broadcast()
		st.mu.Unlock()
		var err error
		if header != nil {
			err = st.stream.SendHeader(header)
		}
		switch {
		case err != nil:
		case ok:
			var more bool
			more, err = st.stream.Send(message)
			st.blocked = !more
			if large && more && err == nil {
				st.largeSent()
			}
		case finished:
			st.conclude()
			return
		default:
			return
		}
		if err != nil {
			st.stream.Reset(status(err)) // too long
			return
		}
	}
}

// largeSent notes that the engine reads no message where it is any more.
func (st *Stream) largeSent() {
	st.mu.Lock()
	st.large, st.largeIn = nil, false
	st.changed.Broadcast()
	st.mu.Unlock()
}

// conclude says that this side sends no more.
func (st *Stream) conclude() {
	if st.client {
		st.stream.CloseSend()
		return
	}
	st.mu.Lock()
	code, text, trailer := st.code, st.text, st.trailer
	st.mu.Unlock()
	st.stream.End(code, text, trailer)
}

// streamUser is a Stream as the engine knows it: it runs on the loop.
type streamUser Stream

func (u *streamUser) Opened(_ *core.Stream, header []byte) {
	u.mu.Lock()
	u.header, u.headed = append(empty, header...), true
	u.changed.Broadcast()
	u.mu.Unlock()
}

func (u *streamUser) Received(s *core.Stream, message []byte) {
	u.mu.Lock()
	u.headed = true
	u.in.put(message)
	u.starved = u.in.waiting >= laneRoom
	more := !u.starved
	u.changed.Broadcast()
	u.mu.Unlock()
	if more {
		s.Receive()
	}
}

func (u *streamUser) Closed(*core.Stream) {
	u.mu.Lock()
	u.closed = true
	u.changed.Broadcast()
	u.mu.Unlock()
}

func (u *streamUser) Sent(*core.Stream) {
	st := (*Stream)(u)
	st.blocked = false
	if st.largeIn {
		st.largeSent()
	}
	st.push()
}

func (u *streamUser) Ended(s *core.Stream) {
	st := (*Stream)(u)
	st.mu.Lock()
	if st.client {
		st.trailer = s.Trailer
	}
	st.end(s.Err)
	undo, onEnd, err := st.undo, st.onEnd, st.err
	st.mu.Unlock()
	if onEnd != nil {
		defer onEnd(err) // which may not return
	}
	if undo != nil {
		undo()
	}
	if st.cancel != nil {
		st.cancel()
	}
}
