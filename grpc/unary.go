package pgrpc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/peregrine-rpc/peregrine"
)

// number is that of the method, and of the streams, that carry all of gRPC: which
// method is meant is in their opening.
const number = 0x6752

var unaryDesc = &grpc.StreamDesc{}

// invoke calls a unary method by one request.
func (cc *ClientConn) invoke(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) error {
	if _, ok := cc.streamed.Load(method); ok {
		return cc.invokeByStream(ctx, method, args, reply, opts)
	}
	r := &clientRPC{conn: cc, method: method, desc: unaryDesc, opts: opts}
	if err := r.begin(ctx); err != nil {
		return err
	}
	byStream, err := r.call(args, reply)
	if byStream {
		cc.streamed.Store(method, nil)
		return cc.finishByStream(r, args, reply)
	}
	r.finish(err)
	return err
}

// call sends the request and takes in the reply. byStream: it is not to be had so.
func (r *clientRPC) call(args, reply any) (byStream bool, err error) {
	x := exchanges.Get().(*exchange)
	b, err := r.opening(x.request[:0])
	if err != nil {
		x.free()
		return false, err
	}
	r.sent()
	b, size, err := r.out.appendMessage(b, args, r.info.maxSent)
	x.request = b
	if err != nil {
		x.free()
		return false, err
	}
	timeout := time.Duration(0)
	if deadline, ok := r.user.Deadline(); ok {
		if timeout = time.Until(deadline); timeout <= 0 {
			x.free()
			return false, errDeadline
		}
	}
	c := &x.call
	c.Method, c.Request, c.Buf, c.Timeout, c.WaitForReady = number, b, x.response, timeout, r.info.waitForReady
	r.conn.session.Go(c)
	if sh := r.conn.stats; sh != nil {
		sh.HandleRPC(r.ctx, outPayload(true, args, size))
	}
	select {
	case <-x.done:
	case <-r.user.Done():
		if x.abandoned.CompareAndSwap(false, true) {
			r.conn.session.Cancel(c) // and the exchange is of no further use
			return false, contextError(r.user.Err())
		}
		<-x.done
	}
	defer x.free()
	if c.Err != nil {
		return false, r.failure(c.Err)
	}
	return r.reply(c.Response, reply)
}

// reply takes in what the server answered.
func (r *clientRPC) reply(response []byte, reply any) (byStream bool, err error) {
	if len(response) == 0 || response[0] > replyKnown {
		return false, malformed(errFrame)
	}
	flags, message, rest := response[0], response[1:], &reader{}
	switch {
	case flags&replyByStream != 0:
		return true, nil
	case flags&replyFailed != 0:
		rest.b = message
	case flags != 0:
		if message, rest.b, err = cutRest(message); err != nil {
			return false, malformed(err)
		}
	}
	switch {
	case flags&replyHeading != 0:
		err = r.heading(rest)
	case flags&replyFailed == 0:
		err = r.heading(nil)
	}
	if err != nil {
		return false, err
	}
	if flags&replyFailed != 0 {
		if err := r.ending(rest); err != nil {
			return false, err
		}
		return false, errNoMessage
	}
	var md metadata.MD
	if flags&replyTrailer != 0 {
		md = rest.metadata(nil)
		if err := rest.err(); err != nil {
			return false, malformed(err)
		}
	}
	size, err := r.in.decode(message, reply, r.info.maxReceived, atClient)
	if sh := r.conn.stats; sh != nil && err == nil {
		sh.HandleRPC(r.ctx, inPayload(true, reply, size))
	}
	r.ended(md)
	return false, err
}

// exchange is the memory of a unary call under way.
type exchange struct {
	call              peregrine.Call
	request, response []byte
	done              chan struct{}
	abandoned         atomic.Bool // or completed, whichever was first
}

// maxKept is the most memory that an exchange keeps for the next one, each way.
const maxKept = 64 << 10

var exchanges = sync.Pool{New: func() any {
	x := &exchange{done: make(chan struct{}, 1), response: make([]byte, 0, 512)}
	x.call.Done = func(*peregrine.Call) {
		if x.abandoned.CompareAndSwap(false, true) {
			x.done <- struct{}{}
		}
	}
	return x
}}

// free keeps the exchange for another call. One that was cancelled is not: what has it
// cancelled may come late.
func (x *exchange) free() {
	c := &x.call
	if x.request = x.request[:0]; cap(x.request) > maxKept {
		x.request = nil
	}
	if cap(c.Response) > cap(x.response) && cap(c.Response) <= maxKept {
		x.response = c.Response[:0]
	}
	c.Request, c.Buf, c.Response, c.Err = nil, nil, nil, nil
	x.abandoned.Store(false)
	exchanges.Put(x)
}
