// Package netdev asks the kernel's generic netlink family of that name what a network
// interface can do (Documentation/netlink/specs/netdev.yaml). It asks in the network
// namespace of the calling thread.
package netdev
