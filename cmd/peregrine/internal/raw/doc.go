// Package raw moves datagrams over a transport with no engine: an echo server,
// and a client that measures echo rate, echo latency and one-way bulk.
//
// It is the floor that the engine is compared with, so it does only what any
// program on the same transport has to: bursts in, bursts out, nothing lost by
// its own fault, no allocation and one clock reading a burst.
package raw
