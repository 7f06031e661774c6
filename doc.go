// Package peregrine is a fast RPC framework: a protocol engine of its own over
// datagrams, moved by plain UDP or by faster backends that a URL chooses at run
// time.
//
// A server listens and handles methods, which are numbers, or have names
// ([Endpoint.HandleName], [Session.Method]):
//
//	server, err := peregrine.Listen("udp://127.0.0.1:31850")
//	server.Handle(1, func(r peregrine.Request) { r.Reply(r.Data()) })
//
// A client dials and calls:
//
//	session, err := peregrine.Dial(ctx, "127.0.0.1:31850")
//	reply, err := session.Call(ctx, 1, []byte("hello"), nil)
//
// # I got an RPC, now what?
//
// Each method chooses, at registration, where its handler runs: on the
// receiving loop ([Inline], for microsecond handlers), on a [Pool] of workers,
// on the worker that a key of the request picks ([Partition], so that handlers
// of one key need no locks), or on a goroutine of its own ([Go], for handlers
// that block). Wherever it runs, it may answer at once, or later from any
// goroutine ([Request.Defer]), and may call other servers meanwhile. Every queue
// is bounded; a full one is an error at the client, never growth.
//
// [Unary] makes a handler of a function that returns a reply or an error,
// [Request.Context] ends with the request, and [WithHandlerInterceptor] does
// something around all handlers. A handler that panics fails its own request.
//
// # Mistakes that are told
//
// A [Request] is inert once its time is over, so that who answers late without
// Defer harms nobody else; it is logged and counted. Memory that handlers and
// completions see is theirs for a while only ([Request.Data], Response of a
// [Call] without a Buf): in tests and under the race detector it is overwritten
// with 0xDB thereafter, but not where go test runs benchmarks, which are to
// measure what a program has. A loop must not be held: what would wait for the
// loop that it runs on returns [ErrOnLoop].
//
// # Three ways to call
//
// [Session.Call] blocks. [Session.Go] returns at once and completes by a
// callback. [Session.Submit] is for callbacks and inline handlers, which run on
// the session's loop already: it costs nothing but the call itself, allocates
// nothing, and is how to reach millions of calls a second.
//
// # Streams
//
// [Session.Stream] opens a stream, which [Endpoint.HandleStream] has served on a
// goroutine of its own: messages both ways, in order, at any time, between a header and
// a trailer. A [Stream] is used as gRPC's are: Send, Recv until io.EOF or an error,
// CloseSend. It takes no request slot, so that thousands may be open.
//
// # When a call fails
//
// Every call completes once: with a response, or with an [*Error] that has one of
// gRPC's codes, which [CodeOf] finds in any error, the cause below where there is
// one, and says whether the request may have executed. Where no connection can
// be made calls fail with Unavailable as soon as that is known, while attempts go
// on in the background; with [WithWaitForReady], or [Call]'s WaitForReady, they
// wait. [Session.State], [Session.WaitForStateChange] and [Session.Notify] tell
// how the connection stands.
//
// # One endpoint, many sessions
//
// [Dial] opens an endpoint for its session alone, which is simple. A program that
// talks to many servers opens one by [Listen], with Config.ClientOnly if it serves
// nothing itself, and has all sessions from [Endpoint.Dial]: they share its loops,
// sockets and memory, and those to one server share a connection.
//
// # Loops
//
// An [Endpoint] has one or more loops, each a goroutine with an engine and a
// transport queue of its own. Sessions are spread over them. A loop spins for a
// while when it runs out of work and then blocks, at once where others want its
// CPU; see [WithPoll].
//
// # Tests
//
// Import transport/mem, and "mem://" in place of "udp://..." runs a client and a
// server in memory, without ports, as bufconn does for gRPC; the examples show it.
// [WithFault] makes any transport lose, delay, repeat and damage datagrams, and
// [Endpoint.SetFaults] changes that while it runs, up to a partition.
//
// # Settings
//
// They come from options, or from a file by [LoadConfig]. [Config] lists the
// engine's limits with their keys and defaults. What cannot be obeyed is refused
// with a [*ConfigError] for each setting, never ignored.
//
// # Security
//
// Without more there is none: whoever reaches the port may call every method, and whoever
// sees the packets can read, forge and change them. [WithTLS] and [WithPSK] seal all
// connections of an endpoint, [Request.TLS] and [WithAuthorizer] tell clients apart. What
// is promised against whom is in docs/security.md.
package peregrine
