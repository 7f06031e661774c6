// Package pcapng records what transports send and receive, in files that
// Wireshark and tshark read, over any backend: also where the kernel, and so
// tcpdump, sees nothing.
//
//	recorder, err := pcapng.Create("calls.pcapng", pcapng.Options{})
//	endpoint, err := peregrine.Listen(url, peregrine.WithDecorator(recorder.Decorate))
//	...
//	err = errors.Join(endpoint.Close(), recorder.Close())
//
// A loop copies datagrams into a buffer of fixed size ([transport.NewCapture]); a
// goroutine of the recorder writes them. Each transport is an interface of its
// own. Frames begin with IP and UDP headers made from the addresses, with valid
// checksums. They have direction, time in ns, how many before them were missed,
// and comments: what lay on this host, what the receiver will not take and why,
// what could not be delivered, and what the transport dropped meanwhile, by cause.
package pcapng
