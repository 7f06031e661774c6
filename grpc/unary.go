package pgrpc

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/peregrine-rpc/peregrine"
)

var unaryDesc = &grpc.StreamDesc{}

// invoke calls a unary method by one request, unless it is known to be none.
func (cc *ClientConn) invoke(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) error {
	r := unaryRPCs.Get().(*clientRPC)
	defer func() {
		*r = clientRPC{}
		unaryRPCs.Put(r)
	}()
	r.conn, r.method, r.known, r.desc, r.opts = cc, method, cc.methods.of(cc.session, method), unaryDesc, opts
	if err := r.begin(ctx); err != nil {
		return err
	}
	if !r.known.byStream.Load() {
		byStream, err := r.call(args, reply)
		if !byStream {
			r.finish(err)
			return err
		}
		r.known.byStream.Store(true)
	}
	return cc.invokeByStream(r, args, reply)
}

// unaryRPCs are those that are over: nobody else has them.
var unaryRPCs = sync.Pool{New: func() any { return new(clientRPC) }}

// call sends the request and takes in the reply. byStream: it is not to be had so.
func (r *clientRPC) call(args, reply any) (byStream bool, err error) {
	request := newBufferFor(r.out.room(args))
	b, err := r.opening(request.b)
	if err != nil {
		return false, err
	}
	r.sent()
	b, size, err := r.out.appendMessage(b, args, r.info.maxSent)
	request.b = b
	if err != nil {
		request.free()
		return false, err
	}
	if sh := r.conn.stats; sh != nil {
		sh.HandleRPC(r.ctx, outPayload(true, args, size))
	}
	ctx := r.user
	if r.info.waitForReady {
		ctx = peregrine.WaitForReady(ctx)
	}
	response := newBufferFor(int(r.known.replied.Load()))
	answer, err := r.known.call(ctx, b, response.b)
	if err != nil {
		if !errors.Is(err, peregrine.ErrLoopHeld) { // then the memory is still in use
			request.free()
			response.free()
		}
		return false, r.failure(err)
	}
	if cap(answer) > cap(response.b) {
		r.known.replied.Store(int64(len(answer)))
		response.b = answer
	}
	request.free()
	defer response.free()
	return r.reply(answer, reply)
}

// reply takes in what the server answered.
func (r *clientRPC) reply(response []byte, reply any) (byStream bool, err error) {
	if len(response) == 0 || response[0] > replyKnown {
		return false, malformed(errFrame)
	}
	flags, message, rest := response[0]&^replyJoins, response[1:], &reader{}
	if flags&replyByStream != 0 {
		return true, nil
	}
	r.conn.says(response[0]&replyJoins != 0)
	switch {
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
