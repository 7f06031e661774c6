package pgrpc

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

var logger = grpclog.Component("pgrpc")

// carrier is how an RPC travels: as a request and its reply, or as a stream.
type carrier interface {
	// receive returns the next message, valid until the next call, or io.EOF.
	receive() ([]byte, error)
	// encode makes a message ready, for flush to send.
	encode(c *coding, m any, limit int) (sizes, error)
	// heading sends the server's header, before the first message.
	heading(encoding string, md metadata.MD) error
	flush() error
	// end sends how the RPC ended, and is last.
	end(s *status.Status, md metadata.MD)
}

// serverRPC is an RPC at its server, and the [grpc.ServerStream] of its handler.
type serverRPC struct {
	server  *Server
	carrier carrier
	method  string
	terms   *knownTerms
	desc    *grpc.StreamDesc
	peer    *peer.Peer
	ctx     context.Context
	cancel  context.CancelFunc

	in, out  coding
	received bool

	mu              sync.Mutex
	header, trailer metadata.MD
	headed          bool // the header is sent, or there is none
	done            bool // how the RPC ended is sent
}

// serve runs an RPC from its opening to its end. opening has the metadata left.
func (s *Server) serve(r *serverRPC, service *service, md metadata.MD, unfound error) {
	r.server = s
	s.begin()
	defer s.ended()
	r.ctx = metadata.NewIncomingContext(peer.NewContext(r.ctx, r.peer), md)
	r.tag(md)
	if unfound != nil {
		r.end(status.Convert(unfound))
		return
	}
	r.process(service)
}

// process does for an RPC of a known method what its handler does not.
func (r *serverRPC) process(service *service) (err error) {
	s := r.server
	if sh := s.stats; sh != nil {
		began := time.Now()
		sh.HandleRPC(r.ctx, &stats.Begin{BeginTime: began, IsClientStream: r.desc.ClientStreams, IsServerStream: r.desc.ServerStreams})
		defer func() {
			end := &stats.End{BeginTime: began, EndTime: time.Now()}
			if err != nil && err != io.EOF {
				end.Error = rpcError(err)
			}
			sh.HandleRPC(r.ctx, end)
		}()
	}
	if err := r.setCoding(); err != nil {
		r.end(status.Convert(err))
		return err
	}
	var impl any
	if service != nil {
		impl = service.impl
	}
	view := &serverStream{serverRPC: r, ctx: grpc.NewContextWithServerTransportStream(r.ctx, r)}
	if s.streams == nil || !r.desc.ClientStreams && !r.desc.ServerStreams {
		err = r.desc.Handler(impl, view)
	} else {
		err = s.streams(impl, view, &grpc.StreamServerInfo{
			FullMethod: r.method, IsClientStream: r.desc.ClientStreams, IsServerStream: r.desc.ServerStreams,
		}, r.desc.Handler)
	}
	if err == nil {
		r.end(nil)
		return nil
	}
	if _, ok := status.FromError(err); !ok {
		err = handlerStatus(err).Err()
	}
	r.end(status.Convert(err))
	return err
}

// setCoding finds the codec, and the compressors: replies go as the request came.
func (r *serverRPC) setCoding() error {
	c := r.server.codec
	if c == nil && r.terms.subtype != "" {
		if c = codecNamed(r.terms.subtype); c == nil {
			logger.Warningf("no codec %q is registered: taking \"proto\"", r.terms.subtype)
		}
	}
	if c == nil {
		c = codecNamed("proto")
	}
	r.in = coding{codec: c, encoding: r.terms.encoding, compressor: compressorNamed(r.terms.encoding)}
	r.out = coding{codec: c}
	switch {
	case r.in.encoding == "" || r.in.encoding == encoding.Identity:
	case r.in.compressor == nil:
		return status.Errorf(codes.Unimplemented, "grpc: Decompressor is not installed for grpc-encoding %q", r.in.encoding)
	default:
		r.out.encoding, r.out.compressor = r.in.encoding, r.in.compressor
	}
	return nil
}

// tag has the statistics handler see the RPC begin.
func (r *serverRPC) tag(md metadata.MD) {
	if sh := r.server.stats; sh != nil {
		r.ctx = sh.TagRPC(r.ctx, &stats.RPCTagInfo{FullMethodName: r.method})
		sh.HandleRPC(r.ctx, &stats.InHeader{
			FullMethod: r.method, RemoteAddr: r.peer.Addr, LocalAddr: r.peer.LocalAddr, Compression: r.terms.encoding, Header: md.Copy(),
		})
	}
}

// find looks a method up by its path, "/service/method". Where there is none the error
// is gRPC's.
func (s *Server) find(path string) (*service, *grpc.StreamDesc, error) {
	at := strings.LastIndexByte(path, '/')
	if at < 1 || path[0] != '/' {
		return nil, nil, status.Errorf(codes.Unimplemented, "malformed method name: %q", path)
	}
	name, method := path[1:at], path[at+1:]
	registered := s.services[name] // not written any more
	if registered != nil {
		if desc := registered.methods[method]; desc != nil {
			return registered, desc, nil
		}
	}
	switch {
	case s.unknown != nil:
		return nil, s.unknown, nil
	case registered == nil:
		return nil, nil, status.Errorf(codes.Unimplemented, "unknown service %v", name)
	}
	return nil, nil, status.Errorf(codes.Unimplemented, "unknown method %v for service %v", method, name)
}

// end sends how the RPC ended, nil being OK; only the first counts.
func (r *serverRPC) end(st *status.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return
	}
	if !r.headed && len(r.header) > 0 {
		r.sendHeading()
	}
	r.headed, r.done = true, true
	md := r.trailer
	if st != nil {
		md = detailed(st, md)
	}
	r.carrier.end(st, md)
	if sh := r.server.stats; sh != nil {
		sh.HandleRPC(r.ctx, &stats.OutTrailer{Trailer: r.trailer.Copy()})
	}
	r.cancel()
}

// sendHeading sends the header. r.mu is held.
func (r *serverRPC) sendHeading() error {
	r.headed = true
	if err := r.carrier.heading(r.out.encoding, r.header); err != nil {
		return err
	}
	if sh := r.server.stats; sh != nil {
		sh.HandleRPC(r.ctx, &stats.OutHeader{Header: r.header.Copy(), Compression: r.out.encoding})
	}
	return nil
}

// over is why nothing can be sent any more.
func (r *serverRPC) over() error {
	if err := r.ctx.Err(); err != nil {
		return contextError(err)
	}
	return errCanceled
}

// Method is the RPC's path. With the following three methods r is a
// [grpc.ServerTransportStream].
func (r *serverRPC) Method() string { return r.method }

func (r *serverRPC) SetHeader(md metadata.MD) error {
	if md.Len() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.headed || r.done {
		return errLate
	}
	r.header = metadata.Join(r.header, md)
	return nil
}

func (r *serverRPC) SendHeader(md metadata.MD) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.done:
		return r.over()
	case r.headed:
		return errLate
	}
	r.header = metadata.Join(r.header, md)
	return r.sendHeading()
}

func (r *serverRPC) SetTrailer(md metadata.MD) error {
	if md.Len() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return errLate
	}
	r.trailer = metadata.Join(r.trailer, md)
	return nil
}

// serverStream is an RPC as its handler sees it, a [grpc.ServerStream].
type serverStream struct {
	*serverRPC
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

func (s *serverStream) SetHeader(md metadata.MD) error {
	if err := validate(md); err != nil {
		return err
	}
	return s.serverRPC.SetHeader(md)
}

func (s *serverStream) SendHeader(md metadata.MD) error {
	if err := validate(md); err != nil {
		return err
	}
	return s.serverRPC.SendHeader(md)
}

func (s *serverStream) SetTrailer(md metadata.MD) {
	if err := validate(md); err != nil {
		logger.Errorf("SetTrailer: %v", err)
	}
	s.serverRPC.SetTrailer(md)
}

// SendMsg sends a message. If that fails, so does the RPC: what the handler returns
// does not count then.
func (s *serverStream) SendMsg(m any) error {
	err := s.send(m)
	if err != nil && err != io.EOF {
		err = rpcError(err)
		s.end(status.Convert(err))
	}
	return err
}

func (s *serverStream) send(m any) error {
	size, err := s.carrier.encode(&s.out, m, s.server.maxSent)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.done {
		err = s.over()
	} else if !s.headed {
		err = s.sendHeading()
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.carrier.flush(); err != nil {
		return s.broken(err)
	}
	if sh := s.server.stats; sh != nil {
		sh.HandleRPC(s.serverRPC.ctx, outPayload(false, m, size))
	}
	return nil
}

// RecvMsg receives a message; what is said of SendMsg holds for it.
func (s *serverStream) RecvMsg(m any) error {
	err := s.receive(m)
	if err != nil && err != io.EOF {
		s.end(status.Convert(err))
	}
	return err
}

func (s *serverStream) receive(m any) error {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done {
		return s.over()
	}
	message, err := s.carrier.receive()
	switch {
	case err == io.EOF && !s.desc.ClientStreams && !s.received:
		return status.Error(codes.Internal, "cardinality violation: received no request message from non-client-streaming RPC")
	case err == io.EOF:
		return err
	case err != nil:
		return s.broken(err)
	}
	size, err := s.in.decode(message, m, s.server.maxReceived, atServer)
	if err != nil {
		return err
	}
	s.received = true
	if sh := s.server.stats; sh != nil {
		sh.HandleRPC(s.serverRPC.ctx, inPayload(false, m, size))
	}
	if s.desc.ClientStreams {
		return nil
	}
	switch message, err := s.carrier.receive(); err {
	case io.EOF:
		return nil
	case nil:
		if _, err := s.in.decode(message, m, s.server.maxReceived, atServer); err != nil {
			return err
		}
		return status.Error(codes.Internal, "cardinality violation: received multiple request messages for non-client-streaming RPC")
	default:
		return s.broken(err)
	}
}

// broken is why a stream ended under its handler, whose context has ended then.
func (s *serverStream) broken(err error) error {
	<-s.ctx.Done()
	return contextError(s.ctx.Err())
}
