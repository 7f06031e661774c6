package peregrine

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Option configures an endpoint. Options count in any order; of two that set the
// same thing the later does. What cannot be obeyed is refused when the endpoint
// opens, each with a [*ConfigError], all together.
type Option func(*options)

type options struct {
	url       string
	open      func(queue, queues int) (transport.Transport, error)
	file      *TransportConfig  // from a file, instead of url and open
	faults    *transport.Faults // nil: the transport is as it is
	decorate  []func(queue int, tr transport.Transport) transport.Transport
	log       *zap.Logger
	loops     int
	poll      Poll
	cpus      []int
	config    Config
	secrecy   secrecy
	authorize func(Access) error
	resolver  Resolver
	handlers  []methodHandler
	streams   []methodStreams
	errs      []error

	intercept    []func(CallFunc) CallFunc
	waitForReady bool
	lazy         bool
	interceptors []func(next Handler) Handler

	streamIntercept    []func(StreamFunc) StreamFunc
	streamInterceptors []func(StreamHandler) StreamHandler

	crash   bool // when a handler panics
	metrics bool
	flight  *FlightRecorder
}

type methodHandler struct {
	method    uint16
	handler   Handler
	placement placement
}

type methodStreams struct {
	method  uint16
	handler StreamHandler
}

// usual are the limits that options override: the engine's, save in tests of this
// package, where a busy machine may hold up either side.
var usual Config

func newOptions(opts []Option) *options {
	o := &options{log: zap.NewNop(), loops: 1, resolver: net.DefaultResolver, config: usual}
	for i, opt := range opts {
		if opt == nil {
			o.refuse("option", "option %d of %d is nil", i+1, len(opts))
			continue
		}
		opt(o)
	}
	return o
}

// refuse notes a setting that cannot be obeyed.
func (o *options) refuse(key, format string, args ...any) {
	o.errs = append(o.errs, &ConfigError{Key: key, Problem: fmt.Sprintf(format, args...)})
}

// maxLoops is how many queues of one address connections can be told apart by.
const maxLoops = core.MaxQueues

// check says all that is wrong, as far as that shows without opening anything.
func (o *options) check() error {
	c := options{errs: slices.Clone(o.errs), config: o.config}
	switch {
	case o.file != nil:
		c.add(o.file.check())
	case o.open == nil:
		c.add(transport.CheckURL(o.url))
	}
	if o.loops < 1 || o.loops > maxLoops {
		c.refuse("loops", "%d is out of range: give 1 to %d", o.loops, maxLoops)
	}
	if o.poll < 0 || int(o.poll) >= len(pollNames) {
		c.refuse("poll", "%d is no policy: use Adaptive, Busy or Block", int(o.poll))
	}
	if len(o.cpus) > 0 && len(o.cpus) != o.loops {
		c.refuse("cpus", "%d named for %d loops: name one for each", len(o.cpus), o.loops)
	}
	for _, cpu := range o.cpus {
		if cpu < 0 {
			c.refuse("cpus", "%d is no CPU: count from 0", cpu)
		}
	}
	if o.config.Misrouted != nil {
		c.refuse("Misrouted", "an endpoint hands packets on between its loops itself: leave it nil")
	}
	if o.config.Misreported != nil {
		c.refuse("Misreported", "an endpoint hands word of them on between its loops itself: leave it nil")
	}
	o.secrecy.check(&c)
	c.add(o.config.Check())
	for i, h := range o.handlers {
		if slices.ContainsFunc(o.handlers[:i], func(earlier methodHandler) bool { return earlier.method == h.method }) {
			c.refuse("handler", "method %d has two: keep one", h.method)
		}
		c.add(h.placement.err)
	}
	for i, h := range o.streams {
		if slices.ContainsFunc(o.streams[:i], func(earlier methodStreams) bool { return earlier.method == h.method }) {
			c.refuse("handler", "streams of method %d have two: keep one", h.method)
		}
	}
	return errors.Join(c.errs...)
}

// checkHost says which CPUs this process cannot have.
func (o *options) checkHost() error {
	var errs []error
	for _, cpu := range o.cpus {
		if cpu < 0 {
			continue
		}
		undo, err := affinity.Pin(cpu)
		if err != nil {
			errs = append(errs, &ConfigError{Key: "cpus", Problem: strings.TrimPrefix(err.Error(), "affinity: ")})
			continue
		}
		undo()
	}
	return errors.Join(errs...)
}

func (o *options) add(err error) {
	if err != nil {
		o.errs = append(o.errs, err)
	}
}

// WithTransport chooses the backend that Dial uses, by a URL such as
// "udp://0.0.0.0:0". Listen takes its URL as an argument.
func WithTransport(url string) Option { return func(o *options) { o.url = url } }

// WithTransports makes open supply the transports, one for each loop, instead
// of a URL: Listen's is then "". The endpoint owns and closes them.
func WithTransports(open func(queue, queues int) (transport.Transport, error)) Option {
	return func(o *options) {
		if open == nil {
			o.refuse("transport", "WithTransports(nil): give a function that opens them")
		}
		o.open = open
	}
}

// WithDecorator has each loop's transport be what decorate makes of it, as it is
// opened: a recording, by package transport/pcapng, or one of the program's own.
// queue counts the loops from 0; nil leaves that one as it is. The endpoint owns and closes what is returned,
// and that what is within. Of several the first is the innermost; the faults of
// WithFault are outside of all, so that these see what really passes.
func WithDecorator(decorate func(queue int, tr transport.Transport) transport.Transport) Option {
	return func(o *options) {
		if decorate == nil {
			o.refuse("transport", "WithDecorator(nil): leave the option out for the transport as it is")
			return
		}
		o.decorate = append(o.decorate, decorate)
	}
}

// WithLogger makes the endpoint log what happens to it and its connections,
// never single calls. Without it, or with nil, nothing is logged.
func WithLogger(log *zap.Logger) Option {
	return func(o *options) {
		if log == nil {
			log = zap.NewNop()
		}
		o.log = log
	}
}

// WithLoops sets the number of event loops, from 1, the default, to 256. A
// server of several needs a backend with as many queues.
func WithLoops(n int) Option { return func(o *options) { o.loops = n } }

// WithHandler sets a method's handler as Endpoint.Handle does, but before the
// first request can arrive. A method has one handler.
func WithHandler(method uint16, h Handler, opts ...HandleOption) Option {
	return func(o *options) {
		if h == nil {
			o.refuse("handler", "that of method %d is nil: leave the option out, and the method is Unimplemented", method)
		}
		o.handlers = append(o.handlers, methodHandler{method, h, newPlacement(opts)})
	}
}

// WithStreamHandler sets the handler of a method's streams as Endpoint.HandleStream
// does, but before the first stream can arrive.
func WithStreamHandler(method uint16, h StreamHandler) Option {
	return func(o *options) {
		if h == nil {
			o.refuse("handler", "that of streams of method %d is nil: leave the option out, and the method is Unimplemented", method)
		}
		o.streams = append(o.streams, methodStreams{method, h})
	}
}

// WithCrashOnPanic lets the process crash when a handler panics. Otherwise its
// request fails with Internal, and all else goes on; see [Handler].
func WithCrashOnPanic() Option { return func(o *options) { o.crash = true } }

// WithPoll chooses what loops do without work: [Adaptive] by default.
func WithPoll(p Poll) Option { return func(o *options) { o.poll = p } }

// WithCPU pins the thread of each loop to a CPU, one for each loop, counted from
// 0. GOMAXPROCS must exceed the number of loops that poll Busy.
func WithCPU(cpus ...int) Option { return func(o *options) { o.cpus = cpus } }

// WithResolver makes r find the addresses of the names that are dialled, instead
// of [net.DefaultResolver].
func WithResolver(r Resolver) Option {
	return func(o *options) {
		if r == nil {
			o.refuse("resolver", "it is nil: leave the option out for the host's")
		}
		o.resolver = r
	}
}

// WithWaitForReady has calls wait while their server cannot be reached, as long
// as their context or Timeout allows, instead of failing with Unavailable as
// soon as an attempt to connect has failed. [Call] has it for single ones.
func WithWaitForReady() Option { return func(o *options) { o.waitForReady = true } }

// WithLazyDial has Dial return once it knows an address to try: a name is still
// looked up first. The session connects in the background, and calls made
// meanwhile wait for that; [Session]'s State tells how it stands.
func WithLazyDial() Option { return func(o *options) { o.lazy = true } }

// WithConfig sets the engine's limits. Its zero fields leave what other options,
// or the configuration file, say of them, and else stand for the defaults.
// Events are told beside the log. Misrouted and Misreported must be nil, for the
// endpoint hands on itself what they are for. Without a Seed each endpoint draws one.
func WithConfig(c Config) Option { return func(o *options) { o.set(c) } }

// set takes over what is not zero in c.
func (o *options) set(c Config) {
	from, to := reflect.ValueOf(c), reflect.ValueOf(&o.config).Elem()
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// WithoutCoalescing sends every message in a datagram of its own.
func WithoutCoalescing() Option { return func(o *options) { o.set(Config{NoCoalesce: true}) } }
