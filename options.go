package peregrine

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Option configures an endpoint.
type Option func(*options)

type options struct {
	url      string
	open     func(queue, queues int) (transport.Transport, error)
	queues   func(loops int) ([]transport.Transport, error) // from a file
	faults   transport.Faults
	log      *zap.Logger
	loops    int
	poll     Poll
	cpus     []int
	config   Config
	handlers []methodHandler
	err      error
}

type methodHandler struct {
	method  uint16
	handler Handler
}

func newOptions(opts []Option) (*options, error) {
	o := &options{log: zap.NewNop(), loops: 1}
	for _, opt := range opts {
		opt(o)
	}
	if o.err == nil && len(o.cpus) > 0 && len(o.cpus) != o.loops {
		o.err = fmt.Errorf("peregrine: %d CPUs for %d loops: name one CPU a loop", len(o.cpus), o.loops)
	}
	return o, o.err
}

// WithTransport chooses the backend that Dial uses, by a URL such as
// "udp://0.0.0.0:0". Listen takes its URL as an argument.
func WithTransport(url string) Option { return func(o *options) { o.url = url } }

// WithTransports makes open supply the transports, one for each loop, instead
// of a URL. The endpoint owns and closes them.
func WithTransports(open func(queue, queues int) (transport.Transport, error)) Option {
	return func(o *options) { o.open = open }
}

// WithFault makes the transport lose, delay, duplicate, reorder and corrupt
// datagrams in both directions, as in "loss=0.01,dup=0.01,reorder=0.05,
// delay=1ms,corrupt=0.001,seed=7".
func WithFault(spec string) Option {
	return func(o *options) {
		if spec == "" {
			return
		}
		f, err := transport.ParseFaults(spec)
		if err != nil {
			o.err = err
		}
		o.faults = f
	}
}

// WithLogger makes the endpoint log what happens to it and its connections,
// never single calls. Without it nothing is logged.
func WithLogger(log *zap.Logger) Option { return func(o *options) { o.log = log } }

// WithLoops sets the number of event loops, 1 by default. A server of several
// needs a backend with as many queues.
func WithLoops(n int) Option {
	return func(o *options) {
		if n < 1 {
			o.err = fmt.Errorf("peregrine: %d loops: use at least 1", n)
		}
		o.loops = n
	}
}

// WithHandler sets a method's handler as Endpoint.Handle does, but before the
// first request can arrive.
func WithHandler(method uint16, h Handler, opts ...HandleOption) Option {
	return func(o *options) { o.handlers = append(o.handlers, methodHandler{method, place(h, opts)}) }
}

// WithPoll chooses what loops do without work: [Adaptive] by default.
func WithPoll(p Poll) Option { return func(o *options) { o.poll = p } }

// WithCPU pins the thread of each loop to a CPU, one for each loop. GOMAXPROCS
// must exceed the number of loops that poll Busy.
func WithCPU(cpus ...int) Option { return func(o *options) { o.cpus = cpus } }

// WithConfig sets the engine's limits; zero fields take the defaults.
// A nil Controller leaves that of an earlier option.
func WithConfig(c Config) Option {
	return func(o *options) {
		if c.Controller == nil {
			c.Controller = o.config.Controller
		}
		o.config = c
	}
}

// WithoutCoalescing sends every message in a datagram of its own.
func WithoutCoalescing() Option { return func(o *options) { o.config.NoCoalesce = true } }
