// Package netdev asks the kernel's generic netlink family of that name what a network
// interface can do (Documentation/netlink/specs/netdev.yaml). It asks in the network
// namespace of the calling thread. What that family does not tell, ethtool's ioctl does.
package netdev
