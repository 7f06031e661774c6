// Package asavie is an echo over github.com/asavie/xdp, as its own examples would
// write it, for comparison. It takes all packets of its interface.
package asavie
