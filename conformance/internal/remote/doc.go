// Package remote serves the transports of one process to another by net/rpc, so
// that a test can hold both ends of a backend that needs two processes. It is
// slow, and faithful: what is lent in one process stays lent in the other.
package remote
