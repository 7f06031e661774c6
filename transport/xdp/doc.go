// Package xdp is the transport over AF_XDP: datagrams pass the kernel's network
// stack by, on an ordinary Linux interface that stays the kernel's for everything
// else. It needs no cgo, no clang and no driver of its own, and Linux 5.11; 6.17
// sends faster.
//
//	import _ "github.com/peregrine-rpc/peregrine/transport/xdp"
//
//	tr, err := transport.Open("xdp://eth1?port=31850")
//
// The keys of the URL are those of [Config]. It takes CAP_NET_ADMIN, CAP_NET_RAW
// and CAP_BPF.
//
// # Who does what
//
// A program on the interface (program_linux.go) takes UDP to our port and
// addresses, and leaves the kernel the rest, ARP and ICMP among it. So the kernel
// answers for the addresses; we ask it for routes and neighbours, and have it look
// for those that it does not know (paths_linux.go). A goroutine, (*port).follow,
// hears from the kernel of what changes.
//
// The program is attached by a bpf_link, which ends with the process however that
// ends.
//
// # A port
//
// All queues of an interface share the program, one memory for frames (UMEM) and
// the way to the kernel's tables. The first Open makes them, the last Close gives
// them back. A socket of the kernel's holds the UDP port, and is read in generic mode
// alone (unfinished_linux.go).
// Interfaces may share a memory (memory_linux.go), and then one sends what another
// received as it lies (forward_linux.go).
//
// # A frame
//
// A frame is in exactly one place: free, lent, in one of the four rings, or with the
// kernel. internal/xsk draws the ways; a queue counts what is where (queue_linux.go).
//
//	received   chunk │ 256 kernel's │ Ethernet IP UDP payload…
//	sent       chunk │ … Ethernet IP UDP │ payload…             payload at 128
//
// A sender fills the Head where it lies in the frame; a Payload is copied behind
// it, once. On a device without zero-copy the kernel copies each packet once more.
// Packets longer than a frame have several (jumbo_linux.go).
package xdp
