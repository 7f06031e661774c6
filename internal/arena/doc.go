// Package arena gives large rings of buffers memory outside of Go's heap, so that
// they do not count as garbage to be collected, and only what is touched becomes
// resident. Whoever lends such buffers lends the last one back first.
//
// A pointer into an arena is unknown to the collector: it keeps nothing alive. So
// that one which is kept too long finds memory and no fault, addresses are never
// given back to the system but used for other arenas.
package arena
