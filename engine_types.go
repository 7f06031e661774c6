// Code generated from package core by go test -run TestTheEnginesTypesAreDocumentedHere -update . DO NOT EDIT.

package peregrine

import "github.com/peregrine-rpc/peregrine/core"

// Call is one request and its completion. The caller owns it and may use it
// again once Done has been called; that makes a call without an allocation.
//
// Its fields:
//
//	// Method says which handler of the server runs.
//	Method uint16
//	// Request is the message to send. It must not change until Done.
//	Request []byte
//	// Buf is where the response goes if it fits its capacity. If Buf is nil, a
//	// response of one packet is not copied: Response is then a view of receive
//	// memory, valid only during Done; in tests, unless benchmarks were asked for,
//	// and under the race detector it is overwritten with 0xDB thereafter
//	// (Config.Poison).
//	Buf []byte
//	// Timeout is how long to wait for the response, from Submit on; 0 means
//	// for ever, and less that the call fails at once with DeadlineExceeded. It
//	// travels with the request if it is below wire.MaxTimeout, 24 days, and the
//	// server does not begin work that has expired.
//	Timeout time.Duration
//	// WaitForReady has the call wait, as long as its Timeout, where no connection
//	// can be made. Without it, it fails with Unavailable as soon as an attempt to
//	// connect has failed, and at once until another one succeeds.
//	WaitForReady bool
//	// Tied, if it is not 0, has the call be made on that connection alone, as Via of
//	// a former call names it; else it fails with Unavailable, not sent. So what was
//	// learnt of a server, such as a method's number, is not said to its successor.
//	Tied uint64
//	// Trace, if it is not nil, tells the server what the call is part of, if the server
//	// reads that. It must be valid, and not change until Done.
//	Trace *Trace
//	// Done is called once, on the endpoint's goroutine, when Response or Err is
//	// set. It may submit this or other calls.
//	Done func(*Call)
//	// Response is what the handler replied.
//	Response []byte
//	// Err is nil or an *Error.
//	Err error
//	// Via names the connection that the call was made on; 0: it was not.
//	Via uint64
//	// User is the caller's own.
//	User any
type Call = core.Call

// Trace is where a call belongs in a distributed trace, as W3C Trace Context has it: what
// the traceparent of HTTP says. The zero Trace is none.
//
// Its fields:
//
//	// TraceID names the trace, and SpanID what in it made the call. Neither is 0.
//	TraceID [16]byte
//	SpanID [8]byte
//	// Flags are trace-flags: bit 0 says that the caller records the trace.
//	Flags uint8
//
// Its methods:
//
//	// IsValid says whether t is a trace.
//	func (t Trace) IsValid() bool
//	// String is the traceparent.
//	func (t Trace) String() string
type Trace = core.Trace

// Error is how a call fails.
//
// Its fields:
//
//	Code Code
//	Message string
//	// MayHaveExecuted says that the server may have run the handler. Where it
//	// is false, calling again cannot execute the request twice.
//	MayHaveExecuted bool
//	// Cause is the error below, where there is one: of a server that could not
//	// be reached it matches [syscall.ECONNREFUSED] and others of
//	// [transport.Unreachable]. errors.Is and errors.As find it.
//	Cause error
//
// Its methods:
//
//	// Error is the code and the message, which may be the peer's: quoted if a terminal
//	// might obey it. Message itself is as it came.
//	func (e *Error) Error() string
//	// Is makes errors.Is match errors of the same code: a target without a Message
//	// stands for all of its code. Canceled and DeadlineExceeded also match the
//	// errors of package context.
//	func (e *Error) Is(target error) bool
//	// Unwrap returns the Cause.
//	func (e *Error) Unwrap() error
type Error = core.Error

// Code is the status of a call, in the numbers and meanings of gRPC's
// canonical codes, so that a gRPC layer can sit on top.
//
// Its methods:
//
//	func (c Code) String() string
type Code = core.Code

// Status codes. The engine itself answers with those that say so; the others are
// for handlers, with gRPC's meanings.
const (
	OK                 = core.OK                 // no error
	Canceled           = core.Canceled           // the caller gave up, or closed the session (the engine's)
	Unknown            = core.Unknown            // an error without a code, or with one that there is not
	InvalidArgument    = core.InvalidArgument    // the request is wrong, whatever the state of the server
	DeadlineExceeded   = core.DeadlineExceeded   // no response in time (the engine's)
	NotFound           = core.NotFound           // what the request names is not there
	AlreadyExists      = core.AlreadyExists      // what the request would make is there
	PermissionDenied   = core.PermissionDenied   // the caller may not
	ResourceExhausted  = core.ResourceExhausted  // a bound was met: slots, queue, memory, length of a message (the engine's)
	FailedPrecondition = core.FailedPrecondition // the state of the server does not allow it; trying again does not help (the engine's)
	Aborted            = core.Aborted            // a conflict with others; try again from the start
	OutOfRange         = core.OutOfRange         // beyond the end of what is there
	Unimplemented      = core.Unimplemented      // no handler of that method (the engine's)
	Internal           = core.Internal           // the handler broke its promise: panic, or no reply (the engine's)
	Unavailable        = core.Unavailable        // no connection, or it was lost; try again (the engine's)
	DataLoss           = core.DataLoss           // what was stored is lost or damaged, or a response (the engine's)
	Unauthenticated    = core.Unauthenticated    // the caller has not said who it is
)

// ConnState is the state of a session's connection, in gRPC's names and
// meanings.
//
// Its methods:
//
//	func (c ConnState) String() string
type ConnState = core.ConnState

// Connection states.
const (
	// Idle: not connected, and nobody waits to be. The next call connects.
	Idle = core.Idle
	// Connecting: the first attempt since Idle is under way. Calls wait for it.
	Connecting = core.Connecting
	// Ready: connected.
	Ready = core.Ready
	// TransientFailure: the last attempt failed. Calls fail at once, unless they
	// wait for ready. As long as there are calls, or anybody who waits, attempts go
	// on in the background, without leaving this state before one succeeds.
	TransientFailure = core.TransientFailure
	// Shutdown: the session is closed.
	Shutdown = core.Shutdown
)

// Config holds an endpoint's limits. A zero field takes the default.
//
// Its fields:
//
//	// Slots is how many requests a session may have outstanding, 1 to 65535.
//	// A client asks for its Slots, a server grants at most its own.
//	Slots int // key slots, default 256
//	// Sessions is how many sessions a server keeps, over all its peers. It ends one in
//	// which nothing was under way for 100 times KeepAlive, and sooner, after one, to make
//	// room; its client opens it again with the next call. Of this limit,
//	// Requests and ReassemblyMemory one client may have eight times what is left.
//	Sessions int // key sessions, default 65536
//	// Peers is how many clients a server keeps connected, and Requests how many
//	// requests it holds, over all sessions, from arrival until the response is
//	// acknowledged. Beyond, it refuses with ResourceExhausted.
//	Peers int // key peers, default 65536
//	Requests int // key requests, default 131072
//	// Streams is how many streams a session may have open, 1 to 65535. A client asks
//	// for its Streams, a server grants at most its own. All that a server has open
//	// are bounded by Requests as well.
//	Streams int // key streams, default 16384
//	// StreamWindow is how many bytes a peer may always send on a stream before the
//	// reader takes any, in units of 1 KiB up to 64 MiB. A stream that is read as
//	// fast as it comes gets more, up to 4 MiB; StreamMemory is how much more all
//	// streams of a connection get together.
//	StreamWindow int // key stream_window, default 32768
//	StreamMemory int64 // key stream_memory, default 16777216
//	// Queue is how many calls a session keeps waiting for a slot. Beyond, calls
//	// fail with ResourceExhausted.
//	Queue int // key queue, default 65536
//	// Credits is how many unacknowledged packets a peer may send here, 4 to
//	// MaxCredits.
//	Credits int // key credits, default 256
//	// MaxMessage is the longest message received here, in bytes, up to 4 GiB-1.
//	MaxMessage int64 // key max_message, default 16777216
//	// ReassemblyMemory bounds the memory in bytes of requests of more than one packet
//	// that are being received or held, of what streams hold, over all sessions, and of
//	// what is kept for those to come. A request is given it as its packets arrive. Where there is no
//	// more, the client that has the most gives way, and a request of its fails with
//	// ResourceExhausted. What is kept and not needed for a second is given back.
//	ReassemblyMemory int64 // key reassembly_memory, default 1073741824
//	// MaxDatagram bounds the datagrams sent and received, in bytes. Within it
//	// the path's MTU is probed.
//	MaxDatagram int // key max_datagram, default 8972
//	// AckDelay is how long an acknowledgement may wait for a response to ride
//	// on, up to 65 ms.
//	AckDelay time.Duration // key ack_delay, default 500µs
//	// KeepAlive is the silence after which a peer is given up, 10 ms to a day.
//	// A client with an open session breaks silence four times as often.
//	KeepAlive time.Duration // key keep_alive, default 3s
//	// ConnectTimeout is how long a handshake may take.
//	ConnectTimeout time.Duration // key connect_timeout, default 5s
//	// Handshakes is how many clients a server lets prove who they are at a time, if it
//	// has Security. More are heard once there is room. Each may take ConnectTimeout, and
//	// up to 64 KiB.
//	Handshakes int // key handshakes, default 1024
//	// Security, if set, has all connections sealed: who does not, or otherwise, is
//	// refused. nil: all are plain text.
//	Security packet.Security
//	// NoCoalesce sends every message in a datagram of its own.
//	NoCoalesce bool // key no_coalesce
//	// Checksum asks for a CRC-32C on every datagram, also over transports that
//	// vouch for integrity.
//	Checksum bool // key checksum
//	// ClientOnly refuses whoever wants to connect: the endpoint only dials.
//	ClientOnly bool
//	// Poison is for tests: memory whose time is over, such as a request's Data
//	// after its end, is overwritten with 0xDB, and what is a view of receive memory
//	// otherwise is a copy, so that it can be.
//	Poison bool
//	// Controller makes the congestion controllers, a cc.Factory; nil means cc.Default.
//	Controller packet.Controllers
//	// Events, if set, is told of connections made and lost, on the endpoint's
//	// goroutine. It must not call the endpoint.
//	Events func(Event)
//	// Ended, if set, is told on the endpoint's goroutine of calls that have completed
//	// and of requests that have been answered, by handler or engine. count of them
//	// ended alike, one after the other. since is when the calls were submitted, or when
//	// the requests were taken in. It is told before the Receive, Flush or Close returns
//	// in which they ended, or the next one if that was between. It must not call the
//	// endpoint.
//	Ended func(side Side, method uint16, code Code, since time.Duration, count uint64)
//	// Recorder, if set, keeps what happens. Each endpoint has one of its own.
//	Recorder *Recorder
//	// Misrouted, if set, is given packets that arrived here but belong to the
//	// endpoint of another queue of the same address, to Inject there; -1 asks to
//	// try all others. rx is valid during the call.
//	Misrouted func(queue int, rx *transport.RxPacket)
//	// Misreported, if set, is likewise given word of datagrams that could not be
//	// delivered and that this endpoint did not send, to InjectUnreachable into
//	// all others. u is valid during the call.
//	Misreported func(u *transport.Unreachable)
//	// Seed decides tokens and cookies. It must be secret and fresh, save in
//	// simulations, and the same for the queues of one address, which take each
//	// other's cookies and draw tokens of their own.
//	Seed [32]byte
//
// Its methods:
//
//	// Check returns a [*ConfigError] for each setting that is out of range, joined.
//	func (c Config) Check() error
type Config = core.Config

// ConfigError says which setting cannot be used, and what to write instead. It
// is the same type as transport.ConfigError.
//
// Its fields:
//
//	// Driver is the backend, or the congestion controller, whose key it is. Empty
//	// for keys of the engine and of endpoints.
//	Driver string
//	// Key is the key as it is written in files and URLs, also where an option set it.
//	Key string
//	// Problem says what is wrong and what to do.
//	Problem string
//
// Its methods:
//
//	// Error names the driver, the key and the problem.
//	func (e *ConfigError) Error() string
type ConfigError = core.ConfigError

// Event is something that happened to a connection.
//
// Its fields:
//
//	Kind EventKind
//	Peer netip.AddrPort
//	// Reason says why a connection was lost, or where a client was before.
//	Reason string
type Event = core.Event

// EventKind says what happened.
type EventKind = core.EventKind

// Event kinds.
const (
	PeerConnected = core.PeerConnected
	PeerLost      = core.PeerLost   // without a word: silence, or a reset
	PeerClosed    = core.PeerClosed // in order
	PeerMoved     = core.PeerMoved  // a client has another address
)

// Stats counts since the endpoint was made.
//
// Its fields:
//
//	// Calls of this endpoint as a client: started, and how they ended.
//	CallsStarted, CallsSucceeded, CallsFailed uint64
//	// CallsQueued is those of them that waited for a slot, or for a connection.
//	CallsQueued uint64
//	// Requests of this endpoint as a server: handed to a handler, answered by
//	// the engine instead (overload, deadline, no such method), and duplicates
//	// that were not executed again.
//	RequestsHandled, RequestsRefused, RequestsDuplicate uint64
//	// SessionsExpelled of this endpoint as a server: ended since they were idle.
//	SessionsExpelled uint64
//	// Streams that this endpoint opened; streams handed to a handler; and streams
//	// that the engine ended instead.
//	StreamsOpened, StreamsServed, StreamsRefused uint64
//	// Messages and fragments sent in Data datagrams; Retransmits is those of them
//	// that were sent again.
//	TxMessages, RxMessages, Retransmits uint64
//	// Dropped messages of a session, slot or request that has ended. Those that
//	// are malformed count as malformed datagrams do.
//	RxStale uint64
//	// Datagrams of type Data and all others.
//	TxData, TxControl, RxData, RxControl uint64
//	// Packets declared lost; those of them that arrived after all; and silences
//	// that were ended by a probe.
//	LostPackets, SpuriousRetransmits, ProbeTimeouts uint64
//	// Pings that had no answer in time and were sent again.
//	PingsRepeated uint64
//	// Dropped datagrams, by cause.
//	RxMalformed uint64 // the following four, and what is out of place
//	RxMagic uint64 // no datagram of this protocol
//	RxLength uint64 // shorter, or longer, than what it says
//	RxType uint64 // an unknown type, kind, flag or option
//	RxParams uint64 // limits that nothing can be sent within
//	RxVersion uint64 // another protocol version
//	RxChecksum uint64 // damaged
//	RxForged uint64 // sealed by somebody else, or not where it has to be, or damaged
//	RxUnknown uint64 // no such connection, or a wrong token or sender
//	RxMisrouted uint64 // of another queue's endpoint, and handed on
//	RxDuplicate uint64 // packet number seen before, or too old
//	RxNoRoom uint64 // Data not taken in, from who leaves too many answers unacknowledged
//	RxBadCookie uint64 // Hello with a forged or old cookie
//	RxReflected uint64 // our own, sent back by whom they were for
//	RxUnreachable uint64 // word of datagrams that could not be delivered
//	ResetsSent uint64
//	ResetsTaken uint64
//	PeersFailed uint64 // connections given up
//	PeersMoved uint64 // clients that came to have another address
//	MTUReductions uint64 // paths that stopped carrying what they carried
//	HellosRefused uint64
//	// Handshakes of clients that did not prove who they are, or could not agree with us;
//	// and Hellos not heard since too many were under way.
//	HandshakesFailed, HandshakesDeferred uint64
//	// Peers is how many connections there are.
//	Peers int
//	// Present state.
//	Sessions, RequestsHeld, Streams int
//	// ReassemblyBytes is the memory of requests of more than one packet that are
//	// being received or held, and of streams' messages; BytesKept that of copies of others and of replies, and
//	// what is kept for those to come. None of more than one packet is begun that
//	// would bring the sum over ReassemblyMemory.
//	ReassemblyBytes, BytesKept int64
//	// Filled in by the owner of the endpoint's goroutine: handlers that panicked,
//	// and uses of a request by who may not use it, or any more.
//	HandlersPanicked, RequestsMisused uint64
//	// Transport is filled in by who owns both.
//	Transport transport.Stats
//
// Its methods:
//
//	// Add adds the counters of o to s.
//	func (s *Stats) Add(o *Stats)
//	// Rejections returns all reasons, in the document's order.
//	func (s *Stats) Rejections() []Rejection
type Stats = core.Stats
