// Package packet is the protocol's packet layer: connections between endpoints.
//
// A [Conn] joins two of them: a handshake, an address and a path, packet numbers,
// acknowledgements and loss, a congestion controller and a pace, an MTU, a
// keep-alive. What it carries is a [Layer]'s, which is not told of any of these: the
// two meet in the methods of that interface. Package core is one message layer, of
// sessions and calls; a test of this package has another, of numbered blobs.
//
// An [Endpoint] is all connections over one transport queue. It is deterministic: it
// reads no clock, starts no goroutine and opens no socket. Time comes in as an
// argument, packets come in and go out through a transport.Transport, chance comes
// from a seed.
//
// # The way of the data
//
// In, from top to bottom: receive.go, with the numbers that came (received.go), what
// they acknowledge and what was lost (recovery.go). Datagrams that are just what was
// expected take a shorter way to the same end (inorder.go).
//
// Out: send.go, with the numbers that went (sent.go), the pace (pacer.go), and the
// packets that wait for the transport (burst.go).
//
// Control datagrams go to handshake.go, a room with one way in and one way out. A
// client's attempts are in connect.go, with what hosts report (unreachable.go) and
// what echo services do (reflection.go); cookie.go is the proof of an address. path.go
// follows a client to another one, mtu.go finds how long datagrams may be.
package packet
