// Package sim is a simulated network: hosts, switches and links in virtual
// time, decided by one seed.
//
// Programs run in it unmodified. An [Actor] is polled when a datagram has
// arrived for it, when its deadline has come, or after [Host.Kick]; it sends
// and receives through a [Port], which is a transport.Transport. A
// *core.Endpoint is an Actor. Time is a number that only moves to the next
// event, so an hour of silence costs nothing, and the same seed and program
// give the same history, to the byte of a [Network.Trace].
//
//	net := sim.New(1)
//	tor := net.Switch("tor")
//	client, server := net.Host("client", sim.HostConfig{}), net.Host("server", sim.HostConfig{})
//	cable := sim.LinkConfig{Rate: 25e9, Delay: time.Microsecond, QueueBytes: 1 << 20, MarkBytes: 100 << 10}
//	net.Link(client, tor, cable)
//	last := net.Link(server, tor, cable)
//
//	port := server.Open(31850)
//	endpoint, err := core.New(core.Config{Seed: seed}, port, net.Now())
//	server.Run(endpoint, port)
//	... // a client likewise
//	session.Submit(call)
//	client.Kick()
//	err = net.Until(time.Second, func() bool { return done })
//	fmt.Println(last.Toward(server).Stats().MaxWait)
//
// # The model
//
// A [Link] is two pipes. A [Pipe] sends one datagram at a time, at the link's
// rate; others wait in its queue, which drops what is too much and marks from a
// threshold on (RFC 3168, as DCTCP asks in RFC 8257). Then the datagram travels
// for the link's delay and meets the pipe's [Faults]. A switch forwards whole
// datagrams along the shortest path. On the wire each is [WireOverhead] bytes
// longer than its payload.
//
// A host has one link. Its output queue is that of its network card: bounded in
// datagrams for each port, and full means that Send takes fewer, not that
// something is lost. Payload memory is read when a datagram leaves the card, as
// by a zero-copy transport, so whoever reuses it too early sends garbage.
//
// Each actor has a CPU of its own. It takes no time, unless
// [HostConfig.PacketCost] or [Host.Pause] say so.
//
// # Order
//
// Events of the same instant happen in the order they were scheduled in, and
// actors are polled after them, in the order they got something to do in.
//
// # Threads
//
// A network and all that is in it belong to one goroutine. Nothing blocks, and
// [Port.Wait] returns at once.
//
// # Mistakes
//
// Arrangements that cannot be (a host with two links, two ports of one number,
// a probability of 2) panic where they are made: they are errors of the program
// that builds the network. What happens in the network never panics.
package sim
