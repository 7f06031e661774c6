// Package waiter blocks the owner of a transport until the kernel has something
// for it or another goroutine wakes it, and never loses a wake-up.
package waiter
