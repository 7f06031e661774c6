// Package core is the protocol engine: connections, sessions, request slots,
// credits, loss recovery, timers.
//
// It is deterministic. It reads no clock, starts no goroutine and opens no
// socket: time comes in as an argument of [Endpoint.Poll], packets come in and
// go out through a transport.Transport, chance comes from a seed. So everything
// it does can be replayed.
//
// # The parts
//
// An [Endpoint] is one event loop's worth of engine over one transport queue.
//
// A peer is the connection to one remote endpoint (handshake.go, peer.go). It
// has the packet numbers (sent.go, received.go), the acknowledgements and loss
// recovery (recovery.go), the congestion controller, the path's MTU (mtu.go),
// and the queues from which datagrams are packed (send.go). A client's tries to
// connect, with pauses, as long as anybody wants it to (connect.go,
// unreachable.go, reflection.go); a server's follows its client to another
// address (path.go).
//
// A [Session] (session.go) is a client's line to a server: a bounded number of
// slots, each with one [Call] at a time. Sessions to one endpoint share its
// peer, so that their messages share datagrams. The server's half (request.go)
// remembers the newest request of each slot, which is what makes execution
// at-most-once, and lends each as a [Request] to its [Handler].
//
// Messages longer than a packet travel in fragments (outgoing.go, assembly.go),
// in memory that is kept for the next ones as long as there are any (buffers.go,
// pool.go, tidy.go).
package core
