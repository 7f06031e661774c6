package stubs

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"runtime"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	pgrpc "github.com/peregrine-rpc/peregrine/grpc"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

const maxMessage = 8 << 20

// Serve is the server's program: it serves a free port of loopback until its standard
// input ends.
func Serve(args []string) error {
	flags := flag.NewFlagSet("stubs-serve", flag.ContinueOnError)
	cpu := flags.Int("cpu", 0, "CPU that the whole process is pinned to")
	over := flags.String("over", "", "grpc, drpc, peregrine or nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := pin(*cpu); err != nil {
		return err
	}
	addr, stop, err := serve(*over)
	if err != nil {
		return err
	}
	defer stop()
	side.Announce(addr)
	side.AwaitEOF()
	return nil
}

// serve starts a server of one or the other.
func serve(over string) (addr string, stop func(), err error) {
	switch over {
	case "grpc":
		server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
		pb.RegisterBenchmarkServiceServer(server, service{})
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		go func() { _ = server.Serve(listener) }()
		return listener.Addr().String(), server.Stop, nil
	case "drpc":
		return serveDRPC()
	case "nothing":
		return "nothing", func() {}, nil // its client serves itself
	case "peregrine":
		server := pgrpc.NewServer(pgrpc.MaxRecvMsgSize(maxMessage))
		pb.RegisterBenchmarkServiceServer(server, service{})
		endpoint, err := server.Listen("udp://127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		return endpoint.Addr().String(), server.Stop, nil
	}
	return "", nil, fmt.Errorf("--over is grpc, drpc, peregrine or nothing, not %q", over)
}

// pin gives a whole process one CPU, and GOMAXPROCS what Go makes of that: goroutines take
// turns then, be they a server's of gRPC-Go or Peregrine's loop and its handlers.
func pin(cpu int) error {
	if err := affinity.SetProcess(cpu); err != nil {
		return fmt.Errorf("--cpu: %w", err)
	}
	runtime.GOMAXPROCS(1)
	return nil
}

type service struct {
	pb.UnimplementedBenchmarkServiceServer
}

// UnaryCall echoes, or tells what the server has used if the request has no payload, or
// what it holds if that asks for bytes.
func (service) UnaryCall(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	var told any
	var err error
	switch {
	case in.GetPayload() != nil:
		return &pb.SimpleResponse{Payload: in.GetPayload()}, nil
	case in.GetResponseSize() > 0:
		told, err = side.MemoryNow()
	default:
		told, err = side.UsageNow()
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(told)
	return &pb.SimpleResponse{Payload: &pb.Payload{Body: text}}, err
}

// StreamingCall echoes each message.
func (service) StreamingCall(stream pb.BenchmarkService_StreamingCallServer) error {
	for {
		in, err := stream.Recv()
		if err == nil {
			err = stream.Send(&pb.SimpleResponse{Payload: in.GetPayload()})
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// StreamingFromServer sends the request's payload until the client cancels.
func (service) StreamingFromServer(in *pb.SimpleRequest, stream pb.BenchmarkService_StreamingFromServerServer) error {
	reply := &pb.SimpleResponse{Payload: in.GetPayload()}
	for {
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
}

// StreamingFromClient takes messages until the client has no more.
func (service) StreamingFromClient(stream pb.BenchmarkService_StreamingFromClientServer) error {
	for {
		switch _, err := stream.Recv(); {
		case errors.Is(err, io.EOF):
			return stream.SendAndClose(&pb.SimpleResponse{})
		case err != nil:
			return err
		}
	}
}
