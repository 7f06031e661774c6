package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"

	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	"github.com/peregrine-rpc/peregrine/internal/secureflag"
)

// maxMessage is how long messages may be, in bytes.
const maxMessage = 256 << 20

// errOver is of a way there is not.
func errOver(over string) error { return fmt.Errorf("--over is peregrine or grpc, not %q", over) }

// serve serves until ctx ends.
func (l *load) serve(ctx context.Context, at string, out io.Writer) error {
	switch l.over {
	case "grpc":
		return l.serveGRPC(ctx, at, out)
	case "peregrine":
	default:
		return errOver(l.over)
	}
	if err := l.secure.CheckServer(); err != nil {
		return err
	}
	server := pgrpc.NewServer(pgrpc.MaxRecvMsgSize(maxMessage))
	defer server.Stop()
	register(server)
	endpoint, err := server.Listen(at, l.secure.Options()...)
	if err != nil {
		return err
	}
	if err := l.secure.MayServe(endpoint); err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %v\n", endpoint.Addr())
	secureflag.Announce(out, endpoint)
	<-ctx.Done()
	return nil
}

func (l *load) serveGRPC(ctx context.Context, at string, out io.Writer) error {
	listener, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() && !l.secure.Plain {
		return errors.Join(fmt.Errorf("%v: others can reach this address: say --plain if that is meant", listener.Addr()), listener.Close())
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
	register(server)
	fmt.Fprintf(out, "listening on %v\n", listener.Addr())
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	return server.Serve(listener)
}

func register(server reflection.GRPCServer) {
	pb.RegisterBenchmarkServiceServer(server, service{})
	reflection.Register(server)
}

// conn is a connection of either kind.
type conn interface {
	grpc.ClientConnInterface
	io.Closer
}

// dial is a connection to addr.
func (l *load) dial(addr string) (conn, error) {
	long := grpc.MaxCallRecvMsgSize(maxMessage)
	switch l.over {
	case "grpc":
		if len(l.secure.Options()) > 0 {
			return nil, errors.New("--tls-... and --psk seal Peregrine: leave out one or the other")
		}
		return grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(long))
	case "peregrine":
		return pgrpc.NewClient(addr, pgrpc.WithEngine(l.secure.Options()...), pgrpc.WithDefaultCallOptions(long))
	}
	return nil, errOver(l.over)
}

// service answers with what it is sent.
type service struct {
	pb.UnimplementedBenchmarkServiceServer
}

func (service) UnaryCall(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (service) StreamingCall(stream pb.BenchmarkService_StreamingCallServer) error {
	for {
		in, err := stream.Recv()
		if err == nil {
			err = stream.Send(&pb.SimpleResponse{Payload: in.GetPayload()})
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// StreamingFromClient answers with the last message.
func (service) StreamingFromClient(stream pb.BenchmarkService_StreamingFromClientServer) error {
	last := &pb.SimpleResponse{}
	for {
		in, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return stream.SendAndClose(last)
		case err != nil:
			return err
		}
		last.Payload = in.GetPayload()
	}
}

// StreamingFromServer sends until the client has enough.
func (service) StreamingFromServer(in *pb.SimpleRequest, stream pb.BenchmarkService_StreamingFromServerServer) error {
	out := &pb.SimpleResponse{Payload: in.GetPayload()}
	for {
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}
