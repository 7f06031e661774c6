package grpcecho

import (
	"context"
	"encoding/binary"
	"encoding/json"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
)

const (
	maxMessage = 64 << 20
	// window is what flow control allows unread, on a stream and on a connection.
	window = 64 << 20

	service          = "bench.Bench"
	echoMethod       = "/" + service + "/Echo"
	uploadMethod     = "/" + service + "/Upload"
	downloadMethod   = "/" + service + "/Download"
	statisticsMethod = "/" + service + "/Statistics"
)

// description is what protoc would have written.
var description = grpc.ServiceDesc{
	ServiceName: service,
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		method("Echo", func(in *frame) (*frame, error) { return in, nil }),
		method("Upload", upload),
		method("Download", download),
		method("Statistics", statistics),
	},
}

// method makes a gRPC method of f, which takes its request's reference over.
func method(name string, f func(*frame) (*frame, error)) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(frame)
			if err := decode(in); err != nil {
				return nil, err
			}
			return f(in)
		},
	}
}

// upload replies with the length and the first 8 bytes.
func upload(in *frame) (*frame, error) {
	defer in.free()
	reply := make([]byte, 16)
	binary.LittleEndian.PutUint64(reply, uint64(len(in.data())))
	copy(reply[8:], in.data())
	return newFrame(reply), nil
}

// download replies with as much of the pattern as the request says, from where
// it says.
func download(in *frame) (*frame, error) {
	defer in.free()
	if len(in.data()) != 16 {
		return nil, status.Error(codes.InvalidArgument, "want a length and a number, 8 bytes each")
	}
	n, seq := binary.LittleEndian.Uint64(in.data()), binary.LittleEndian.Uint64(in.data()[8:])
	if n > maxMessage {
		return nil, status.Errorf(codes.InvalidArgument, "want at most %d bytes", maxMessage)
	}
	return newFrame(pattern(seq, int(n))), nil
}

func statistics(in *frame) (*frame, error) {
	defer in.free()
	usage, err := side.UsageNow()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(usage)
	return newFrame(text), err
}
