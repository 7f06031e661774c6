// Package core is the protocol engine: sessions, request slots, calls, deadlines,
// over the connections of package core/packet.
//
// It is deterministic. It reads no clock, starts no goroutine and opens no
// socket: time comes in as an argument of [Endpoint.Poll], packets come in and
// go out through a transport.Transport, chance comes from a seed. So everything
// it does can be replayed.
//
// # The parts
//
// An [Endpoint] is one event loop's worth of engine over one transport queue. It
// stands on a packet.Endpoint.
//
// A mux (mux.go) is what one connection carries: the sessions on it, and their
// messages, which share its datagrams. It is the packet.Layer of this package, and
// all that the two layers say to each other passes there: what came in goes from
// top to bottom through receive.go, what goes out through send.go, with sendqueue.go to
// know what waits and what each datagram held. connect.go has what calls see of a connection that is
// made, lost and made again.
//
// A [Session] (session.go, response.go) is a client's line to a server: a bounded
// number of slots, each with one [Call] at a time. The server's half (request.go)
// remembers the newest request of each slot, which is what makes execution
// at-most-once, and lends each as a [Request] to its [Handler].
//
// A [Stream] (stream.go) is two sequences of messages, one each way, and takes no
// slot. What it sends (stream_send.go) are messages like any other, which may leave as
// far as the other side has granted; what it receives (stream_receive.go) is shown in
// order, and held until the user asks for it.
//
// Messages longer than a datagram travel in fragments (outgoing.go, assembly.go,
// arrival.go), in memory that is kept for the next ones as long as there are any (buffers.go,
// pool.go, tidy.go). Calls complete once all is in order and the transport has let
// go of their memory (settle.go); those that wait for long ask again (askagain.go).
package core
