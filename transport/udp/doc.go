// Package udp is the transport over the kernel's UDP sockets. It needs no
// privilege and no special hardware, and runs everywhere.
//
//	import _ "github.com/peregrine-rpc/peregrine/transport/udp"
//
//	tr, err := transport.Open("udp://0.0.0.0:31850?recv_buffer=16777216")
//
// The keys of the URL are those of [Config]. Errors of configuration are
// [*transport.ConfigError]; what the host does not grant, such as the size of a
// buffer, is no error but a sentence in Caps().Notes with the remedy.
//
// # On Linux
//
// The kernel's path through UDP and IP costs about 4 µs a packet, there and
// back, whichever system call leads to it. What helps is to go there less often:
//
//   - A run of equal-sized packets to one destination goes down as one message,
//     cut apart below IP (UDP_SEGMENT), and comes up as one (UDP_GRO). What is
//     not a run goes by sendmmsg, up to 32 messages a call.
//   - A lone packet is spared all of it: sendmsg without control messages, and
//     recvmmsg for one message after a poll that found nothing. With and without
//     offload its round trip is the same.
//   - Control messages for code points are left out where the socket's own is
//     the same, and the socket's own follows the traffic.
//   - Large payloads are gathered from where they lie. Packets of a run that are
//     small (up to 512 bytes on average) are copied together instead: the kernel
//     spends about 30 ns on each part that it gathers, the break-even lay between
//     512 and 1024 bytes, and at 48 bytes a batch of 64 is 19 % faster with it.
//
// A kernel that refuses UDP_SEGMENT, which some do for lack of checksum offload
// on the way out, gets the same packets one by one and is not asked again.
//
// Datagrams are never fragmented: the don't-fragment bit is set, and what is
// larger than the link's MTU is dropped and counted as TxTooLarge. Receive
// buffers are lent out and counted per view, since datagrams that came up as one
// share theirs.
//
// Several queues on one address are sockets with SO_REUSEPORT: the kernel
// chooses one by a hash of both addresses and ports, so all packets of a peer's
// socket arrive at one queue. The first takes the port before it sets that, so
// that a port which another has is an error however many queues there are.
// Config.Share lets processes share one.
//
// The polling calls do not tell Go's scheduler that they are system calls (see
// syscall_unsafe_linux.go); only Wait does. Wait sleeps in ppoll on the socket
// and an eventfd, which Wake writes only when the owner sleeps.
//
// On a wildcard address each packet says which address of the host was asked
// (IP_PKTINFO), and a route that is resolved with it leaves from there; other
// sockets are spared the control messages.
//
// Datagrams that could not be delivered are reported (IP_RECVERR). The kernel makes
// any call on the socket fail once for each; such a call empties the error queue and
// is made again, so that nobody's packets are lost for another's. A system call is
// spent on it only when a call has failed, or Wait was told of errors.
//
// # Elsewhere
//
// One datagram per call of the standard library's socket, read ahead by a
// goroutine; no code points, no segmentation, one queue, no sharing. Where the
// system does not tell which address was asked, Caps().Notes says so. Nothing is
// reported. The tests run both
// paths on Linux.
//
// # The numbers
//
// They come from BenchmarkEcho (48-byte datagrams, both ends on one goroutine),
// with the alternatives run in turn on one machine and the best of several runs
// compared: interference only ever adds time.
//
//	go test -run - -bench Echo ./transport/udp
package udp
