// Package iouring is the transport over the kernel's UDP sockets, asked by
// io_uring: the sockets are those of transport/udp, and so are addresses, offloads,
// buffers and what a peer sees. It needs Linux 6.1 and no privilege, and is pure Go.
//
//	import _ "github.com/peregrine-rpc/peregrine/transport/iouring"
//
//	tr, err := transport.Open("iouring://0.0.0.0:31850")
//
// The keys of the URL are those of [Config]. Where this process gets no io_uring
// (an old kernel, kernel.io_uring_disabled, a container's seccomp filter), the error
// of Open wraps [transport.ErrUnavailable] and says what to do. docs/iouring.md has
// what each kernel brings, what is measured, and when plain UDP is the better choice.
//
// # The way of a datagram
//
//	in    Recv looks by a request that takes what is there: one recvmsg for a lone
//	      datagram, a multishot one into up to 64 provided buffers while there are
//	      more. Each datagram, or run of datagrams that UDP_GRO has put together,
//	      fills a buffer. Recv lends views of buffers; those that come back last are
//	      filled first. Where it paid before, a look goes along with what is sent.
//	out   Send makes messages of packets, as transport/udp does, and a request of
//	      each; one system call hands all of them over, and brings what has arrived
//	      meanwhile. A message that the socket has no room for, or that the kernel
//	      will not take as a run, is kept and sent again.
//
// # Threads
//
// The kernel binds what it has left to do to the thread that asked for it; a
// goroutine changes threads as it likes. So a queue works in one of two ways:
//
//   - As opened, nothing is left to be done later: a receive takes what is there and
//     ends (MSG_DONTWAIT), a send completes within its call, Wait sleeps on the
//     socket. Any thread may make the next call, or end.
//   - After [transport.BindThread], by a goroutine that is locked to its thread, as a
//     loop of package peregrine with a CPU of its own is: the kernel leaves its work
//     to that thread's next call (SINGLE_ISSUER, DEFER_TASKRUN) and raises a flag
//     when there is some. After 128 looks in vain, a request is left with it, and
//     the idle queue is looked at without a system call; Wait sleeps in the ring, and
//     Wake sends it a message.
//
// With sqpoll, a thread of the kernel does the work, and there is no other binding.
//
// # Zero copy
//
// With zero_copy, messages with that much payload are sent without a copy
// (SENDMSG_ZC) by a bound queue. Their memory is free when the kernel has said so,
// which takes as long as the packets lie in a queue, up to seconds; until then
// Completed does not pass them, and at most 16 batches may be out. Messages of more
// than 17 pieces of memory are copied. Stats tell how many sends were without a copy
// and how many the kernel copied after all, as it always does on the loopback and on
// veth; after 32 of those in a row no more are tried.
//
// # Safety
//
// The ring may do what this package asks of it, and nothing else: receive, send and
// poll, by registered file and buffers (IORING_REGISTER_RESTRICTIONS).
//
// Close cancels what is under way and frees the port before it returns, if the bound
// thread calls it, is in Wait, or comes by within 100 ms. Otherwise the kernel cleans
// up, some 50 ms later.
package iouring
