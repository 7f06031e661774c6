// Package scenario holds no code, but stories: tests of the engine as a black
// box, in simulated racks with queues, faults and hosts that die.
//
// Each file is one story, told by its name, in a few worlds of different seeds.
// Whatever happens in it, the ledger (ledger_test.go) checks that no request
// executes twice, that each call completes once with the reply that belongs to
// it, and that errors tell the truth. In the end every world heals, and nothing
// may be left in it.
//
// A test that fails prints the command that replays its seed.
//
// The files in testdata are traces: what is on the wire, datagram by datagram,
// in a short script (trace_test.go). To write them anew after a change of the
// protocol, and then read the difference:
//
//	go test ./core/scenario -run Trace -rewrite
package scenario
