// Command share measures how Peregrine and the kernel's TCP share a bottleneck,
// and writes what came of it as a document:
//
//	make share                     all of it, into docs/sharing.md: a quarter of an hour
//	make share SHARE="-quick"      does it all work? figures mean nothing
//
// It needs Linux and root, for network namespaces of its own, which end with it,
// and nothing else: what is missing in the kernel it does itself (relay.go).
package main
