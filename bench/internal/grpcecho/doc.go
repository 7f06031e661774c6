// Package grpcecho is the measuring server and client of gRPC-Go, made to be as
// fast as its users can make it without changing their programs: bytes instead
// of protocol buffers, no copies that gRPC does not ask for, no retries, static
// flow-control windows that never close. What is sent, checked and counted is
// what `peregrine serve` and `peregrine perf` send, check and count.
package grpcecho
