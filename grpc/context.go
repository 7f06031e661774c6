package pgrpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// rpcContext is the context of a handler: that of its request or stream, and the values
// that packages metadata, peer and grpc look for in it. Package context would have a
// layer for each. That of a request is made when somebody asks for it.
type rpcContext struct {
	of  interface{ Context() context.Context } // request or stream
	rpc *serverRPC
}

func (c *rpcContext) Deadline() (time.Time, bool) { return c.of.Context().Deadline() }
func (c *rpcContext) Done() <-chan struct{}       { return c.of.Context().Done() }
func (c *rpcContext) Err() error                  { return c.of.Context().Err() }

func (c *rpcContext) Value(key any) any {
	switch key {
	case incomingKey:
		return c.rpc.md
	case peerKey:
		return c.rpc.peer()
	case streamKey:
		return grpc.ServerTransportStream(c.rpc)
	}
	return c.of.Context().Value(key)
}

// keySpy is a context that notes what it is asked for.
type keySpy struct {
	context.Context
	key any
}

func (s *keySpy) Value(key any) any {
	s.key = key
	return nil
}

func spied(look func(context.Context)) any {
	var spy keySpy
	look(&spy)
	return spy.key
}

// Where grpc's packages keep what is in contexts.
var (
	outgoingKey = spied(func(ctx context.Context) { metadata.FromOutgoingContext(ctx) })
	incomingKey = spied(func(ctx context.Context) { metadata.FromIncomingContext(ctx) })
	peerKey     = spied(func(ctx context.Context) { peer.FromContext(ctx) })
	streamKey   = spied(func(ctx context.Context) { grpc.ServerTransportStreamFromContext(ctx) })
)
