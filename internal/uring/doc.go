// Package uring is the kernel's io_uring: a ring of requests, a ring of
// completions, rings of buffers that the kernel takes from, and the three system
// calls behind them. It knows no socket and no protocol.
//
// # What belongs to whom
//
// Two rings of entries lie in memory that process and kernel share, each with a
// head, where its consumer reads next, and a tail, where its producer writes
// next. Both count up for ever; an index is the count modulo the size.
//
//	request     fill SQE, store tail (release)   kernel loads tail, reads SQE, stores head
//	             load head (acquire), reuse SQE
//	completion  load tail (acquire), read CQE    kernel writes CQE, stores tail
//	             store head (release)             kernel loads head, reuses CQE
//	buffer      fill entry, store tail (release) kernel loads tail, takes the buffer
//	             the completion that names the buffer gives it back
//
// Go's atomics are sequentially consistent, which is more than release and
// acquire. Local copies of what this side alone writes keep the shared words out
// of the way until a batch is complete.
//
// # Threads
//
// A Ring is its owner's: one goroutine at a time, and with [Options.OneThread]
// one thread, which the owner has locked (runtime.LockOSThread) before Enable.
// The kernel answers EEXIST to others. [Ring.Message] may be called by anybody
// who knows that the ring is open.
//
// # Memory
//
// The kernel reads what a request points at until the request has completed. The
// caller keeps that memory alive, referenced from Go where it is Go's, and does
// not write to it.
package uring
