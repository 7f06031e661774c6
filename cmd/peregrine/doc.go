// Command peregrine serves, measures and shows the RPC framework.
//
//	peregrine demo                            see it work, in ten seconds
//	peregrine serve udp://0.0.0.0:31850       offer echo, upload and download
//	peregrine perf 10.0.1.7:31850             measure rate, latency or throughput
//	peregrine ping 10.0.1.7:31850             measure round trips, one a second
//
// Each command's --help has examples.
package main
