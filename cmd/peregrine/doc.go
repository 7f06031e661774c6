// Command peregrine serves, measures and shows the RPC framework.
//
//	peregrine demo                            see it work, in ten seconds
//	peregrine serve udp://127.0.0.1:31850     offer echo, upload and download
//	peregrine perf 10.0.1.7:31850             measure rate, latency or throughput
//	peregrine ping 10.0.1.7:31850             measure round trips, one a second
//	peregrine relay URL 10.1.0.7:31850        pass clients' datagrams on to a server
//	peregrine doctor                          what to do for this host and its card
//	peregrine sim incast                      simulate congestion control
//	peregrine --version                       what it was built from, its backends
//
// Each command's --help has examples. It exits with 2 for a command line that
// cannot be meant, with 130 after Ctrl-C (128 and the signal's number), with 3 if
// doctor found a problem, and with 1 for all else that fails.
package main
