// Package udpsock is what backends on the kernel's UDP sockets share, however
// they ask the kernel: how a socket is set up and what it was granted, how
// addresses, control messages and runs of packets look in memory.
//
// The way of a backend through it: [Open] gives it a bound [Socket]. For sending,
// [Messages] turns packets into msghdrs, ready for sendmmsg or an io_uring. What
// arrived is told by [Sockaddr] and [ParseControl], and cut into packets by
// [Burst]. [Heads] lends transmit buffers. Nothing on these ways makes a system
// call.
//
// Only settings, sizes and buffers exist on other systems than Linux.
package udpsock
