package pgrpc

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"
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
	md      metadata.MD // the client's, not to be written to
	desc    *grpc.StreamDesc
	ctx     context.Context
	base    rpcContext
	view    serverStream

	at     *listener
	remote netip.AddrPort
	tls    *tls.ConnectionState // nil: the client's connection is not sealed by TLS
	known  sync.Once
	told   peer.Peer // once known

	in, out  coding
	received bool

	mu              sync.Mutex
	header, trailer metadata.MD
	headed          bool // the header is sent, or there is none
	done            bool // how the RPC ended is sent
}

// serve runs an RPC of a request or stream from its opening to its end.
func (s *Server) serve(of interface{ Context() context.Context }, r *serverRPC, o *opening) {
	r.server, r.method, r.terms, r.md, r.desc = s, o.method, o.terms, o.md, o.desc
	r.base = rpcContext{of, r}
	r.ctx, r.view.serverRPC = &r.base, r
	s.begin()
	defer s.ended()
	r.tag()
	if o.unfound != nil {
		r.end(status.Convert(o.unfound))
		return
	}
	r.process(o.service)
}

// peer is the client as handlers are told.
func (r *serverRPC) peer() *peer.Peer {
	r.known.Do(func() { r.told = *r.at.peer(r.remote, r.tls) })
	return &r.told
}

// process does for an RPC of a known method what its handler does not.
func (r *serverRPC) process(service *service) (err error) {
	s := r.server
	if sh := s.stats; sh != nil {
		began := time.Now()
		sh.HandleRPC(r.ctx, &stats.Begin{
			BeginTime: began, IsClientStream: r.desc.ClientStreams, IsServerStream: r.desc.ServerStreams,
		})
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
	if s.streams == nil || !r.desc.ClientStreams && !r.desc.ServerStreams {
		err = r.desc.Handler(impl, &r.view)
	} else {
		err = s.streams(impl, &r.view, &grpc.StreamServerInfo{
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
	r.out = coding{codec: c, joined: r.terms.joins()}
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
func (r *serverRPC) tag() {
	if sh := r.server.stats; sh != nil {
		r.ctx = sh.TagRPC(r.ctx, &stats.RPCTagInfo{FullMethodName: r.method})
		sh.HandleRPC(r.ctx, &stats.InHeader{
			FullMethod: r.method, RemoteAddr: r.peer().Addr, LocalAddr: r.peer().LocalAddr, Compression: r.terms.encoding,
			Header: r.md.Copy(),
		})
	}
}

// target is what a path stands for.
type target struct {
	method  string // the path, "/service/method"
	service *service
	desc    *grpc.StreamDesc
	unfound error // why there is none, in gRPC's words
}

// find takes a path apart that no method was registered under.
func (s *Server) find(path string) *target {
	t := &target{method: path}
	at := strings.LastIndexByte(path, '/')
	if at < 1 || path[0] != '/' {
		t.unfound = status.Errorf(codes.Unimplemented, "malformed method name: %q", path)
		return t
	}
	name, method := path[1:at], path[at+1:]
	switch {
	case s.unknown != nil:
		t.desc = s.unknown
	case s.services[name] == nil: // which is not written to any more
		t.unfound = status.Errorf(codes.Unimplemented, "unknown service %v", name)
	default:
		t.unfound = status.Errorf(codes.Unimplemented, "unknown method %v for service %v", method, name)
	}
	return t
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
type serverStream struct{ *serverRPC }

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
		sh.HandleRPC(s.ctx, outPayload(false, m, size))
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
		sh.HandleRPC(s.ctx, inPayload(false, m, size))
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
	if err == errFrame {
		return malformed(err)
	}
	<-s.ctx.Done()
	return contextError(s.ctx.Err())
}
