// Package netstack is what a backend that bypasses the kernel needs of layers 2
// to 4: Ethernet with a VLAN tag, ARP and NDP, IPv4 and IPv6, ICMP echo, UDP. It
// does no I/O, reads no clock and starts no goroutine: frames come in and go out
// as slices, and time is an argument, in nanoseconds from any origin, that never
// goes back.
//
// # The parts
//
// [Headers] (headers.go) are a route's headers, built once and copied in front of
// each datagram. A [Parser] (parse.go) takes received frames apart. Both are for
// every packet: no lock, no allocation.
//
// A [Stack] (stack.go) is a station on the link: it answers for its addresses
// (arp.go, ndp.go, icmp.go), chooses next hops (route.go) and knows the
// neighbours' MACs (neighbour.go). The queues of a port share it; it has a lock,
// and is for what happens rarely.
//
// # Which MAC a datagram goes to
//
// Only ARP and NDP say, never a data packet. Frames come from any source MAC, and
// a peer's may differ from the one that reaches it: a virtual network such as
// Amazon's VPC answers ARP for every host itself, and may deliver frames from the
// MAC of its router. What must be right there is our own source MAC, which is the
// interface's.
//
// A neighbour is learnt from the answer to our question, and from a question
// that it asks us. What nobody asked for updates known neighbours (RFC 826) and
// makes no new ones.
//
// # What is left out
//
// Duplicate address detection (RFC 4862), router discovery and redirects:
// addresses and gateways are configured. Group membership (RFC 3810): a switch
// with MLD snooping must be told to pass neighbour solicitations. Fragments are
// refused and IPv6 extension headers are not followed: peers of ours send
// neither. ICMP's reports of a path's MTU are counted and not believed, for the
// engine probes; those of datagrams that could not be delivered are passed on
// (unreachable.go). We send none ourselves.
package netstack
