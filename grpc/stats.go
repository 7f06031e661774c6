package pgrpc

import (
	"context"
	"time"

	"google.golang.org/grpc/stats"
)

// both are two handlers of statistics.
type both struct{ first, second stats.Handler }

func also(first, second stats.Handler) stats.Handler {
	if first == nil || second == nil {
		if first != nil {
			return first
		}
		return second
	}
	return both{first, second}
}

func (b both) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return b.second.TagRPC(b.first.TagRPC(ctx, info), info)
}

func (b both) HandleRPC(ctx context.Context, s stats.RPCStats) {
	b.first.HandleRPC(ctx, s)
	b.second.HandleRPC(ctx, s)
}

func (b both) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	return b.second.TagConn(b.first.TagConn(ctx, info), info)
}

func (b both) HandleConn(ctx context.Context, s stats.ConnStats) {
	b.first.HandleConn(ctx, s)
	b.second.HandleConn(ctx, s)
}

func outPayload(client bool, m any, size sizes) *stats.OutPayload {
	return &stats.OutPayload{
		Client: client, Payload: m, Length: size.length, CompressedLength: size.compressed, WireLength: size.compressed,
		SentTime: time.Now(),
	}
}

func inPayload(client bool, m any, size sizes) *stats.InPayload {
	return &stats.InPayload{
		Client: client, Payload: m, Length: size.length, CompressedLength: size.compressed, WireLength: size.compressed,
		RecvTime: time.Now(),
	}
}
