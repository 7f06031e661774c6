// Package transport is the contract between the protocol engine and whatever
// moves its datagrams.
//
// A [Transport] is one queue of one backend: a UDP socket, an io_uring, an
// AF_XDP socket, a DPDK port queue, or memory. It moves datagrams and knows
// nothing of RPC. Backends register a [Driver] by name, in the manner of
// database/sql, and are opened from a URL or a configuration struct:
//
//	import _ "github.com/peregrine-rpc/peregrine/transport/udp"
//
//	tr, err := transport.Open("udp://127.0.0.1:31850")
//
// # Ownership of memory
//
// Receive memory belongs to the backend. [Transport.Recv] lends views of it,
// which stay valid until [Transport.Release].
//
// Transmit memory comes in two kinds. A packet's Head is backend memory, lent
// by [Transport.Reserve] and given back by [Transport.Send]; so a backend whose
// frames live in a UMEM or a mempool sees small messages written straight into
// them. A packet's Payload is the message's own memory. The backend may read it
// after Send returns, until [Transport.Completed] passes the packet's number.
//
// # Threads
//
// All methods but Wake, Stats, Caps, LocalAddr and Close are called by one
// goroutine at a time, the owner. A backend needs no locks on its hot path.
//
// # Decorators
//
// [NewFault] wraps any Transport and loses, delays, duplicates, reorders and
// corrupts datagrams, decided by a seed. Its faults can be changed while it runs:
// a partition in the middle of a test is Set(Faults{Loss: 1}).
//
// [NewCapture] wraps any Transport and keeps copies of what passes, for another
// goroutine to read; package transport/pcapng writes them to files.
package transport
