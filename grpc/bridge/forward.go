package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // which clients may use
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Forward is a handler that makes of each RPC one of to, and passes on what either side
// says. It is for the UnknownServiceHandler of a server that has [Codec] forced:
//
//	grpc.NewServer(grpc.UnknownServiceHandler(bridge.Forward(conn)), grpc.ForceServerCodecV2(bridge.Codec()))
//
// and likewise of package pgrpc, with a *grpc.ClientConn as to. Compressed messages go
// on as they were before; the length of those of to is not limited here.
func Forward(to grpc.ClientConnInterface) grpc.StreamHandler {
	return func(_ any, in grpc.ServerStream) error {
		method, ok := grpc.MethodFromServerStream(in)
		if !ok {
			return status.Error(codes.Internal, "bridge: the stream has no method; use Forward as an UnknownServiceHandler")
		}
		md, _ := metadata.FromIncomingContext(in.Context())
		ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(in.Context(), passed(md)))
		defer cancel()
		out, err := to.NewStream(ctx, both, method, callOptions...)
		if err != nil {
			return err
		}
		go func() { // until in ends, as it does at the latest when this handler returns
			if err := requests(in, out); err != nil {
				cancel()
			}
		}()
		return responses(in, out)
	}
}

var (
	both        = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	callOptions = []grpc.CallOption{
		grpc.ForceCodecV2(Codec()), grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32),
	}
)

// passed is metadata as a client may send it on: without what is of the way it came.
func passed(md metadata.MD) metadata.MD {
	out := metadata.MD{}
	for key, values := range md {
		switch {
		case strings.HasPrefix(key, ":"), key == "content-type", key == "user-agent", key == "te", key == "connection",
			key == "grpc-accept-encoding", key == "grpc-encoding", key == "grpc-timeout":
		default:
			out[key] = values
		}
	}
	return out
}

// requests passes on what the client sends. The error says that it has gone.
func requests(in grpc.ServerStream, out grpc.ClientStream) error {
	for {
		var m frame
		err := in.RecvMsg(&m)
		switch {
		case err == io.EOF:
			out.CloseSend()
			return nil
		case err != nil:
			return err
		}
		if out.SendMsg(&m) != nil {
			return nil // responses says why
		}
	}
}

// responses passes on what the server sends, and how it ends.
func responses(in grpc.ServerStream, out grpc.ClientStream) error {
	defer func() { in.SetTrailer(passed(out.Trailer())) }()
	header, err := out.Header()
	if err == nil && header != nil {
		if err := in.SendHeader(passed(header)); err != nil {
			return err
		}
	}
	for {
		var m frame
		err := out.RecvMsg(&m)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := in.SendMsg(&m); err != nil {
			return err
		}
	}
}

// frame is a message as it travels.
type frame struct{ data mem.BufferSlice }

// Codec passes messages on as they are. It bears the name of protobuf's, since that is
// what they are, mostly.
func Codec() encoding.CodecV2 { return codec{} }

type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*frame)
	if !ok {
		return nil, notFrame(v)
	}
	data := m.data
	m.data = nil
	return data, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*frame)
	if !ok {
		return notFrame(v)
	}
	data.Ref()
	m.data = data
	return nil
}

var errNotFrame = errors.New("bridge: Codec is for Forward alone")

func notFrame(v any) error { return fmt.Errorf("%w: it was given a %T", errNotFrame, v) }
