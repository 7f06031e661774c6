// Command bench measures Peregrine beside raw datagrams and gRPC-Go, on one
// machine with two CPUs, and writes what came of it as a document.
//
//	make bench                          everything, into docs/benchmarks.md
//	make bench BENCH="-quick"           does it all work? figures mean nothing
//	make bench BENCH="-only 1,7"        some groups, to standard output
//
// and of the DPDK backend over a pair of virtual devices, with make bench-dpdk and
// BENCH_DPDK likewise; of generated stubs over Peregrine and gRPC-Go with make bench-grpc; of sealed
// connections with make bench-tls.
//
// Leave the machine alone meanwhile: a compiler beside a run ruins it.
//
// It needs Linux, where processes can be tied to CPUs.
package main
