// Package mem moves datagrams through memory, within one process. It is for
// tests of programs that use Peregrine, and for measuring the protocol engine
// without a network.
//
// [Pair] returns two transports that reach only each other. A URL opens one in
// an address space that the whole process shares, so that programs replace the
// scheme and nothing else; a wildcard address stands for the loopback's:
//
//	server, err := peregrine.Listen("mem://127.0.0.1:31850")
//	client, err := peregrine.Dial(ctx, "127.0.0.1:31850", peregrine.WithTransport("mem://"))
//
// Nothing is lost, reordered or damaged, save that datagrams to an address
// where nobody listens are dropped, counted and reported, as a host's kernel does:
// who dials such an address hears ECONNREFUSED at once. A sender whose buffers all lie
// unread with receivers gets no more from Reserve: that is the back-pressure.
//
// # How it works
//
// Each transport owns a fixed number of buffers. Reserve lends one, Send pushes
// it on the receiver's stack of arrivals, Recv takes the whole stack, turns it
// into the order of sending and lends the same memory, and Release pushes it on
// the owner's stack of returned buffers. So a message in Head is never copied,
// a Payload once. Both stacks take one compare-and-swap for a burst; as they
// are only ever emptied whole, they have no ABA problem. This is the
// intrusive multiple-producer list of R. K. Treiber, "Systems Programming:
// Coping with Parallelism" (IBM RJ 5118, 1986).
package mem
