package pgrpc

import (
	"context"
	"errors"
	"io"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/peregrine-rpc/peregrine"
)

const detailsKey = "grpc-status-details-bin"

var (
	errCanceled  = status.Error(codes.Canceled, context.Canceled.Error())
	errDeadline  = status.Error(codes.DeadlineExceeded, context.DeadlineExceeded.Error())
	errClosing   = status.Error(codes.Canceled, "grpc: the client connection is closing")
	errNoMessage = status.Error(codes.Internal,
		"cardinality violation: received no response message from non-server-streaming RPC")
	errLate = status.Error(codes.Internal, "transport: SendHeader called multiple times")
)

// contextError is the status of a context's end.
func contextError(err error) error {
	if err == context.DeadlineExceeded {
		return errDeadline
	}
	return errCanceled
}

// rpcError makes a status of what an RPC may end with; io.EOF stays.
func rpcError(err error) error {
	switch err {
	case nil, io.EOF:
		return err
	case context.Canceled, context.DeadlineExceeded:
		return contextError(err)
	case io.ErrUnexpectedEOF:
		return status.Error(codes.Internal, err.Error())
	}
	var engine *peregrine.Error
	if errors.As(err, &engine) {
		return engineError(engine)
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unknown, err.Error())
}

// engineError says in gRPC's words how a call or a stream has failed.
func engineError(err *peregrine.Error) error {
	text := err.Message
	if err.Cause != nil && !strings.Contains(text, err.Cause.Error()) {
		text += ": " + err.Cause.Error()
	}
	return status.Error(codes.Code(err.Code), text)
}

// handlerStatus is how a handler's error is told: a status within, or that of the
// error of a context; Unknown else.
func handlerStatus(err error) *status.Status {
	if s, ok := status.FromError(err); ok {
		return s
	}
	return status.FromContextError(err)
}

// detailed is md with the details of a status, which travel as metadata.
func detailed(s *status.Status, md metadata.MD) metadata.MD {
	p := s.Proto()
	if len(p.GetDetails()) == 0 {
		return md
	}
	md = md.Copy()
	delete(md, detailsKey)
	details, err := proto.Marshal(p)
	if err != nil { // a text that is no UTF-8
		return md
	}
	if md == nil {
		md = metadata.MD{}
	}
	md[detailsKey] = []string{string(details)}
	return md
}

// received is the status that has arrived, with its details if the metadata has them.
func received(code codes.Code, text string, md metadata.MD) *status.Status {
	if details := md[detailsKey]; len(details) == 1 {
		p := new(spb.Status)
		switch err := proto.Unmarshal([]byte(details[0]), p); {
		case err != nil:
		case p.Code == int32(code):
			return status.FromProto(p)
		default:
			return status.Newf(codes.Internal,
				"grpc-status-details-bin mismatch: grpc-status=%v, grpc-message=%q, grpc-status-details-bin=%+v", code, text, p)
		}
	}
	return status.New(code, text)
}
