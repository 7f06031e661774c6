// Package xsk is the kernel's AF_XDP: memory that packets lie in, a socket for one
// queue of a network device, four rings between the two sides, and the few system
// calls behind them. It knows no protocol.
//
// # The way of a frame
//
// The memory, a UMEM, is cut into frames of one size. A frame is in exactly one
// place at a time, and whoever has it may touch it:
//
//	       ┌──────────── process ────────────┐
//	       │                                  │
//	fill ring                             RX ring          received packets:
//	       │                                  │            fill, kernel, RX, process
//	       └─▶ kernel: a packet arrives ──────┘
//
//	       ┌──────────── process ────────────┐
//	       │                                  │
//	  TX ring                        completion ring       sent packets:
//	       │                                  │            TX, kernel, completion, process
//	       └─▶ kernel: the packet is out ─────┘
//
// A frame may change from one circle to the other: what was received may be sent
// as it lies, also by another socket of the same memory. Completions do not say
// which socket's fill ring a frame once came from, but its address does say which
// frame it is.
//
// # Memory order
//
//	put      load consumer (acquire) before an entry is overwritten
//	publish  store producer (release) after entries are written
//	take     load producer (acquire) before an entry is read
//	free     store consumer (release) after entries were read
//
// Go's atomics are sequentially consistent, which is more. Local copies of what
// this side alone writes keep the shared words out of the way until a batch is
// complete. The counts go on for ever; an index is the count modulo the size.
//
// # System calls
//
// In a steady state a receiver makes none, unless [Producer.NeedsWakeup] of the
// fill ring asks for [Socket.Nudge]. A sender calls [Socket.Kick] while its ring
// is not empty: in copy mode the kernel sends within that call, 32 frames at a
// time. Neither blocks.
//
// # Threads
//
// A Socket and a [Frames] are their owner's, one goroutine at a time.
package xsk
