package pgrpc

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
)

// clientRPC is an RPC at its client: what a unary call and a stream have in common.
type clientRPC struct {
	conn   *ClientConn
	method string
	known  *method // what the connection knows of it
	desc   *grpc.StreamDesc
	opts   []grpc.CallOption
	info   callInfo
	user   context.Context // as it was given
	ctx    context.Context // of the RPC
	md     metadata.MD
	began  time.Time // with statistics
	opened bool      // something was sent

	in, out coding

	mu              sync.Mutex
	header, trailer metadata.MD
	headed          bool // there is a header
	finished        bool
	result          error // once finished
}

// begin takes in what the call's context and options say. An error has been told.
func (r *clientRPC) begin(ctx context.Context) error {
	err := r.prepare(ctx)
	if err != nil {
		r.tell(err)
	}
	return err
}

func (r *clientRPC) prepare(ctx context.Context) (err error) {
	r.user, r.ctx = ctx, ctx
	if r.md, err = outgoing(ctx); err != nil {
		return err
	}
	if r.conn.closed.Load() {
		return errClosing
	}
	if r.info, err = newCallInfo(r.opts); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return contextError(err)
	}
	r.out = coding{codec: r.info.codec, encoding: r.info.encoding, compressor: r.info.compressor}
	r.in.codec = r.info.codec
	if sh := r.conn.stats; sh != nil {
		r.began = time.Now()
		r.ctx = sh.TagRPC(r.ctx, &stats.RPCTagInfo{FullMethodName: r.method, FailFast: !r.info.waitForReady})
		r.md, _ = metadata.FromOutgoingContext(r.ctx) // to which a handler may add what names its trace
		sh.HandleRPC(r.ctx, &stats.Begin{
			Client: true, BeginTime: r.began, FailFast: !r.info.waitForReady,
			IsClientStream: r.desc.ClientStreams, IsServerStream: r.desc.ServerStreams,
		})
	}
	return nil
}

// opening appends what goes in front, with the path.
func (r *clientRPC) opening(b []byte) ([]byte, error) {
	added, err := r.credentials()
	if err != nil {
		return nil, err
	}
	b = appendMethod(b, r.method)
	if r.out.joined {
		b = append(b, 0)
	}
	if r.info.encoding == "" && r.info.subtype == "" && r.info.authority == "" {
		b = appendString(b, r.conn.usual)
	} else {
		t := r.conn.terms(&r.info)
		b = appendString(b, string(t.block()))
	}
	return appendMetadata(b, r.md, added), nil
}

// credentials are what the connection's and the call's have to add.
func (r *clientRPC) credentials() (added [][2]string, err error) {
	if r.info.creds == nil && len(r.conn.creds) == 0 {
		return nil, nil
	}
	ctx := credentials.NewContextWithRequestInfo(r.ctx, credentials.RequestInfo{Method: r.method, AuthInfo: r.conn.authInfo()})
	audience := "https://" + strings.TrimSuffix(r.conn.authority, ":443") + r.method[:max(strings.LastIndexByte(r.method, '/'), 0)]
	for _, c := range r.conn.creds {
		if added, err = r.conn.addCredentials(ctx, c, audience, codes.Unauthenticated, added); err != nil {
			return nil, err
		}
	}
	if r.info.creds != nil {
		added, err = r.conn.addCredentials(ctx, r.info.creds, audience, codes.Internal, added)
	}
	return added, err
}

func (cc *ClientConn) addCredentials(
	ctx context.Context, c credentials.PerRPCCredentials, audience string, failed codes.Code, added [][2]string,
) ([][2]string, error) {
	if c.RequireTransportSecurity() && !cc.sealed() {
		return nil, status.Error(codes.Unauthenticated, "transport: cannot send secure credentials on an insecure connection")
	}
	data, err := c.GetRequestMetadata(ctx, audience)
	if err != nil {
		st, ok := status.FromError(err)
		switch {
		case !ok:
			return nil, status.Errorf(failed, "transport: per-RPC creds failed due to error: %v", err)
		case ofHandlersOnly(st.Code()):
			return nil, status.Errorf(codes.Internal, "transport: received per-RPC creds error with illegal status: %v", err)
		}
		return nil, err
	}
	for k, v := range data {
		k = strings.ToLower(k)
		if err := validatePair(k, v); err != nil {
			return nil, err
		}
		added = append(added, [2]string{k, v})
	}
	return added, nil
}

// ofHandlersOnly are the codes that what is around a call must not use (gRFC A54).
func ofHandlersOnly(c codes.Code) bool {
	switch c {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted,
		codes.OutOfRange, codes.DataLoss:
		return true
	}
	return false
}

// sent notes that the opening is on its way.
func (r *clientRPC) sent() {
	r.opened = true
	if sh := r.conn.stats; sh != nil {
		md := r.md.Copy()
		if md == nil {
			md = metadata.MD{}
		}
		md.Set("user-agent", r.conn.userAgent)
		p := r.conn.peer()
		sh.HandleRPC(r.ctx, &stats.OutHeader{
			Client: true, FullMethod: r.method, RemoteAddr: p.Addr, LocalAddr: p.LocalAddr, Compression: r.info.encoding, Header: md,
			Authority: cmp.Or(r.info.authority, r.conn.authority),
		})
	}
}

// heading takes in the server's. Without bytes the server sent messages, but no header.
func (r *clientRPC) heading(from *reader) error {
	var md metadata.MD
	if from != nil {
		r.in.encoding = from.text()
		md = from.metadata(nil)
		if err := from.err(); err != nil {
			return malformed(err)
		}
		r.in.compressor = compressorNamed(r.in.encoding)
	}
	r.mu.Lock()
	r.header, r.headed = md, true
	r.mu.Unlock()
	if sh := r.conn.stats; sh != nil {
		sh.HandleRPC(r.ctx, &stats.InHeader{Client: true, Header: r.shownHeader(), Compression: r.in.encoding})
	}
	return nil
}

// shownHeader is the header as users see it; nil if there is none.
func (r *clientRPC) shownHeader() metadata.MD {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.headed {
		return nil
	}
	md := r.header.Copy()
	md["content-type"] = []string{contentType(r.info.subtype)}
	return md
}

// ended takes in the server's trailer.
func (r *clientRPC) ended(md metadata.MD) {
	r.mu.Lock()
	if !r.headed { // header and trailer in one
		if md == nil {
			md = metadata.MD{}
		}
		md["content-type"] = []string{contentType(r.info.subtype)}
	}
	r.trailer = md
	r.mu.Unlock()
	if sh := r.conn.stats; sh != nil {
		sh.HandleRPC(r.ctx, &stats.InTrailer{Client: true, Trailer: md.Copy()})
	}
}

// ending takes in how the server says that the RPC ended.
func (r *clientRPC) ending(from *reader) error {
	code, text := codes.Code(uint32(from.number())), from.text()
	md := from.metadata(nil)
	if err := from.err(); err != nil {
		return malformed(err)
	}
	r.ended(md)
	return received(code, text, md).Err()
}

// failure is the status of an error of the engine, or of a handler that it told of.
func (r *clientRPC) failure(err error) error {
	var engine *peregrine.Error
	if !errors.As(err, &engine) {
		return rpcError(err)
	}
	r.mu.Lock()
	result := r.result
	r.mu.Unlock()
	if result != nil { // this side has given up before
		return result
	}
	switch engine.Code {
	case peregrine.Canceled, peregrine.DeadlineExceeded: // never a handler's: those have an ending
		switch ended := r.user.Err(); {
		case r.conn.closed.Load():
			return errClosing
		case ended != nil:
			return contextError(ended)
		case engine.Code == peregrine.DeadlineExceeded:
			return errDeadline
		}
		return errCanceled
	case peregrine.Unavailable:
		if r.conn.closed.Load() {
			return errClosing
		}
	default:
		r.ended(nil)
	}
	return engineError(engine)
}

// finish is the end of the RPC; only the first counts.
func (r *clientRPC) finish(err error) {
	if err == io.EOF {
		err = nil
	}
	r.mu.Lock()
	if r.finished {
		r.mu.Unlock()
		return
	}
	r.finished, r.result = true, err
	trailer := r.trailer
	r.mu.Unlock()
	if sh := r.conn.stats; sh != nil && !r.began.IsZero() {
		var last metadata.MD
		if r.opened {
			last = trailer.Copy()
		}
		sh.HandleRPC(r.ctx, &stats.End{Client: true, BeginTime: r.began, EndTime: time.Now(), Trailer: last, Error: err})
	}
	if r.opened {
		for _, opt := range r.opts {
			switch o := opt.(type) {
			case grpc.HeaderCallOption:
				*o.HeaderAddr = r.shownHeader()
			case grpc.TrailerCallOption:
				*o.TrailerAddr = trailer.Copy()
			case grpc.PeerCallOption:
				*o.PeerAddr = *r.peer()
			}
		}
	}
	r.tell(err)
}

// tell calls those who want to know how the RPC ended.
func (r *clientRPC) tell(err error) {
	for _, opt := range r.opts {
		if o, ok := opt.(grpc.OnFinishCallOption); ok {
			o.OnFinish(err)
		}
	}
}

func (r *clientRPC) peer() *peer.Peer {
	if p, ok := peer.FromContext(r.ctx); ok {
		return p
	}
	return r.conn.peer()
}

func malformed(err error) error {
	return status.Errorf(codes.Internal, "pgrpc: what the peer sent cannot be read, it may be of another version: %v", err)
}

func contentType(subtype string) string {
	if subtype == "" {
		return "application/grpc"
	}
	return "application/grpc+" + subtype
}
