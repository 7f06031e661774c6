// Package relay is a middlebox: it passes RPC datagrams between the clients on one
// side and a server on the other, as a network address translator does. Each client
// gets a source port of its own towards the server, which therefore tells them
// apart, and whose answers find their way back by it.
//
// # The way of a datagram
//
//	client ──▶ inside ─ admit ─▶ flow ─▶ carrier ──▶ outside ──▶ server
//	client ◀── inside ◀─ carrier ◀─ flow ─ admit ── outside ◀── server
//
// Only what a Peregrine client sends to a server passes, and what a server sends to
// a client (passes.go). The flow (flows.go) is known by the client's address and the
// one that it asked, and by the port that answers come to. A datagram that is longer
// than the other side's MTU allows is dropped, as by any router: the endpoints find
// out what the path carries.
//
// A carrier (carrier.go) is how a datagram gets from the memory of one transport into
// that of the other. Where both share it, as two AF_XDP interfaces of a process do,
// the received frame is sent as it lies. Else the datagram is copied, once.
//
// # Threads
//
// A [Relay] is one goroutine, which owns all of its transports. It decides nothing by
// a clock of its own: [Relay.Poll] is given the time, and Run is the loop around it.
package relay
