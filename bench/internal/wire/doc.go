// Package wire joins two network namespaces by a veth pair, for benchmarks whose
// server and client are on different hosts as far as the kernel knows.
package wire
