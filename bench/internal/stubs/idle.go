package stubs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
)

// settle is how long acknowledgements and timers may take to come to rest.
const settle = time.Second

// memory is what a stream takes, in bytes.
type memory struct {
	Both   int64 `json:"both_resident"`
	Client int64 `json:"client_resident"`
	Server int64 `json:"server_resident"`
}

// idle opens streams that stay open, one message having gone each way, and measures what
// each takes at both sides, with goroutines.
func idle(ctx context.Context, client pb.BenchmarkServiceClient, streams int) (memory, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	open := func() error {
		stream, err := client.StreamingCall(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.SimpleRequest{Payload: &pb.Payload{Body: []byte{1}}}); err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	if err := open(); err != nil { // with what is made once
		return memory{}, err
	}
	client0, server0, err := memories(ctx, client)
	if err != nil {
		return memory{}, err
	}
	for range streams {
		if err := open(); err != nil {
			return memory{}, err
		}
	}
	client1, server1, err := memories(ctx, client)
	if err != nil {
		return memory{}, err
	}
	n := int64(streams)
	m := memory{Client: (client1.Resident - client0.Resident) / n, Server: (server1.Resident - server0.Resident) / n}
	m.Both = m.Client + m.Server
	return m, nil
}

func memories(ctx context.Context, client pb.BenchmarkServiceClient) (own, server side.Memory, err error) {
	time.Sleep(settle)
	reply, err := client.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: 1}, grpc.WaitForReady(true))
	if err != nil {
		return own, server, fmt.Errorf("the server's memory: %w", err)
	}
	if err := json.Unmarshal(reply.GetPayload().GetBody(), &server); err != nil {
		return own, server, fmt.Errorf("the server's memory: %w", err)
	}
	own, err = side.MemoryNow()
	return own, server, err
}
