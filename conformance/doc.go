// Package conformance certifies transport backends. [Transport] holds one to
// the contract of [transport.Transport], and [RPC] runs the protocol engine
// over it. A backend that passes both will serve Peregrine.
//
// A backend's test is a few lines:
//
//	import (
//		"testing"
//
//		"github.com/peregrine-rpc/peregrine/conformance"
//		_ "example.com/quantum" // registers the driver
//	)
//
//	func TestConformance(t *testing.T) {
//		f := conformance.URL("quantum://127.0.0.1:0")
//		conformance.Transport(t, f)
//		conformance.RPC(t, f)
//	}
//
// Where the two sides of a connection are not two addresses of one host, but
// two devices, or one device in each of two namespaces, fill in a [Factory]:
//
//	f := conformance.Factory{
//		Open: func(side conformance.Side, addr netip.AddrPort) (transport.Transport, error) {
//			device := [...]string{conformance.Near: "veth0", conformance.Far: "veth1"}[side]
//			return transport.Open(fmt.Sprintf("quantum://%s?port=%d", device, addr.Port()))
//		},
//		Leaks: programsLeftOn("veth0", "veth1"),
//	}
//
// Each configuration of a backend that takes another path through its code
// (with and without offload, IPv4 and IPv6) deserves a factory of its own.
//
// Every subtest is one promise, and its failure quotes the sentence of the
// contract that was broken. Promises that a backend does not make, by its Caps
// or by the factory, have no subtest: nothing is ever skipped. A test that
// calls a suite must not be parallel, since goroutines and descriptors that are
// left behind are those of the whole process. No test measures speed; what a
// test waits for may take a minute.
//
// Go's -short makes the suites shorter. The flag -conformance.soak=1m (or 8h,
// with -timeout 0) adds a soak to the RPC suite, and -conformance.seed replays
// its load and faults.
package conformance
