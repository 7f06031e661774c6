package pgrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"

	"github.com/peregrine-rpc/peregrine"
)

// Server is a [grpc.ServiceRegistrar] whose services Peregrine endpoints serve: what
// the generated RegisterXServer functions take. Any goroutine may use it.
type Server struct {
	maxReceived, maxSent int
	codec                codec
	unaries              grpc.UnaryServerInterceptor
	streams              grpc.StreamServerInterceptor
	unknown              *grpc.StreamDesc
	stats                stats.Handler

	mu        sync.Mutex
	services  map[string]*service
	targets   map[string]*target // by path; like services not written to once there are endpoints
	endpoints []*peregrine.Endpoint
	stopping  bool
	running   int           // handlers
	idle      sync.Cond     // none runs
	stopped   chan struct{} // closed once Stop or GracefulStop is done
	once      sync.Once
	terms     termsCache
}

var _ grpc.ServiceRegistrar = (*Server)(nil)

// service is what was registered under a name.
type service struct {
	impl     any
	metadata any
	methods  []grpc.MethodInfo
}

// NewServer makes a server without services. Register them, then Listen.
func NewServer(opts ...ServerOption) *Server {
	s := &Server{
		maxReceived: defaultReceived, maxSent: maxInt32,
		services: map[string]*service{}, targets: map[string]*target{}, stopped: make(chan struct{}),
	}
	s.idle.L = &s.mu
	for _, opt := range opts {
		opt(s)
	}
	return s
}

const maxInt32 = 1<<31 - 1

// RegisterService registers a service and what implements it, before Listen. Generated
// code calls it. It panics for what does not implement the service, for a name that is
// taken, and after Listen, where grpc would end the process.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if impl != nil {
		if want := reflect.TypeOf(desc.HandlerType).Elem(); !reflect.TypeOf(impl).Implements(want) {
			panic(fmt.Sprintf("pgrpc: RegisterService of %s: %T does not implement %v", desc.ServiceName, impl, want))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.endpoints) > 0:
		panic("pgrpc: RegisterService of " + desc.ServiceName + " after Listen: register all services first")
	case s.services[desc.ServiceName] != nil:
		panic("pgrpc: RegisterService of " + desc.ServiceName + ": it is registered already")
	}
	registered := &service{impl: impl, metadata: desc.Metadata}
	add := func(d *grpc.StreamDesc) {
		path := "/" + desc.ServiceName + "/" + d.StreamName
		s.targets[path] = &target{method: path, service: registered, desc: d}
		registered.methods = append(registered.methods, grpc.MethodInfo{
			Name: d.StreamName, IsClientStream: d.ClientStreams, IsServerStream: d.ServerStreams,
		})
	}
	for i := range desc.Methods {
		d := &desc.Methods[i]
		add(&grpc.StreamDesc{StreamName: d.MethodName, Handler: s.wrap(d)})
	}
	for i := range desc.Streams {
		add(&desc.Streams[i])
	}
	s.services[desc.ServiceName] = registered
}

// wrap makes a unary method a stream of one message each way, so that all are served
// alike.
func (s *Server) wrap(d *grpc.MethodDesc) grpc.StreamHandler {
	return func(impl any, stream grpc.ServerStream) error {
		in := decoders.Get().(*decoder)
		in.from = stream
		reply, err := d.Handler(impl, stream.Context(), in.decode, s.unaries)
		in.from = nil
		decoders.Put(in)
		if err != nil {
			return err
		}
		return stream.SendMsg(reply)
	}
}

// decoder is how generated code takes in its request, which it does once, before the
// handler runs. It is kept for other calls: a method value of each stream would be one
// more allocation.
type decoder struct {
	from   grpc.ServerStream
	decode func(m any) error
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.decode = func(m any) error { return d.from.RecvMsg(m) }
	return d
}}

// GetServiceInfo tells what is registered; package reflection asks for it.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]grpc.ServiceInfo, len(s.services))
	for name, registered := range s.services {
		all[name] = grpc.ServiceInfo{Methods: registered.methods, Metadata: registered.metadata}
	}
	return all
}

// maxHandlers bounds the unary handlers that run at a time; those of streams are
// bounded by the engine.
const maxHandlers = 1 << 20

// Listen opens an endpoint at a transport's URL, such as "udp://127.0.0.1:50051", and
// serves there until Stop, GracefulStop or the endpoint's Close. It returns at once. A
// server may listen at several.
func (s *Server) Listen(url string, opts ...peregrine.Option) (*peregrine.Endpoint, error) {
	l := &listener{Server: s}
	engine := append([]peregrine.Option{
		peregrine.WithConfig(peregrine.Config{MaxMessage: maxMessage(s.maxReceived)}),
		peregrine.WithHandler(number, l.unary(nil), peregrine.Go(maxHandlers)),
		peregrine.WithStreamHandler(number, l.stream(nil)),
	}, opts...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, grpc.ErrServerStopped
	}
	endpoint, err := peregrine.Listen(url, engine...)
	if err != nil {
		return nil, err
	}
	l.endpoint = endpoint
	for path, t := range s.targets { // streams first: who is told a number may use it for both
		err = errors.Join(err, endpoint.HandleStreamName(path, l.stream(t)),
			endpoint.HandleName(path, l.unary(t), peregrine.Go(maxHandlers)))
	}
	if err != nil {
		return nil, errors.Join(err, endpoint.Close())
	}
	s.endpoints = append(s.endpoints, endpoint)
	return endpoint, nil
}

// listener is where a server listens.
type listener struct {
	*Server
	endpoint *peregrine.Endpoint // under mu: handlers may run before Listen knows it
}

// unary is a handler of requests of a target; nil: their openings have the path.
func (l *listener) unary(of *target) peregrine.Handler {
	return func(q peregrine.Request) { l.handleRequest(q, of) }
}

func (l *listener) stream(of *target) peregrine.StreamHandler {
	return func(st *peregrine.Stream) error { return l.handleStream(st, of) }
}

// peer is a client as its handlers are told.
func (l *listener) peer(remote netip.AddrPort, state *tls.ConnectionState) *peer.Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.endpoint == nil { // it could not be opened after all
		return newPeer(remote, netip.AddrPort{}, plainInfo)
	}
	return newPeer(remote, l.endpoint.Addr(), authInfo(l.endpoint, state))
}

// begin counts a handler that runs.
func (s *Server) begin() {
	s.mu.Lock()
	s.running++
	s.mu.Unlock()
}

func (s *Server) ended() {
	s.mu.Lock()
	if s.running--; s.running == 0 {
		s.idle.Broadcast()
	}
	s.mu.Unlock()
}

// Serve listens at a transport's URL and returns when the server has stopped.
func (s *Server) Serve(url string, opts ...peregrine.Option) error {
	if _, err := s.Listen(url, opts...); err != nil {
		return err
	}
	<-s.stopped
	return nil
}

// Stop ends all endpoints at once: calls under way fail at their clients with
// Unavailable, and the contexts of their handlers end.
func (s *Server) Stop() {
	s.stop(func(e *peregrine.Endpoint) { e.Close() })
}

// GracefulStop refuses new calls, and returns when those under way are done and all
// handlers have returned. Stop ends the calls early.
func (s *Server) GracefulStop() {
	s.stop(func(e *peregrine.Endpoint) { e.Shutdown(context.Background()) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.running > 0 {
		s.idle.Wait()
	}
}

func (s *Server) stop(end func(*peregrine.Endpoint)) {
	s.mu.Lock()
	s.stopping = true
	endpoints := s.endpoints
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, e := range endpoints {
		all.Go(func() { end(e) })
	}
	all.Wait()
	s.once.Do(func() { close(s.stopped) })
}
