// Package peregrine is a fast RPC framework: a protocol engine of its own over
// datagrams, moved by plain UDP or by faster backends that a URL chooses at run
// time.
//
// A server listens and handles methods, which are numbers:
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
// # Three ways to call
//
// [Session.Call] blocks. [Session.Go] returns at once and completes by a
// callback. [Session.Submit] is for callbacks and inline handlers, which run on
// the session's loop already: it costs nothing but the call itself, allocates
// nothing, and is how to reach millions of calls a second.
//
// # Loops
//
// An [Endpoint] has one or more loops, each a goroutine with an engine and a
// transport queue of its own. Sessions are spread over them. A loop spins for a
// while when it runs out of work and then blocks, at once where others want its
// CPU; see [WithPoll].
package peregrine
