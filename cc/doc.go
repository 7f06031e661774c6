// Package cc holds congestion controllers, and the timing wheel that paces.
//
// A [Controller] sees events of one path (sent, acknowledged, lost, timed out)
// and answers with a window and a rate. It never touches a packet, a clock or a
// timer. Controllers are found by name ([Lookup]) and configured by a struct
// with yaml tags:
//
//   - none: a constant window. For links of one's own, and for measuring.
//   - auto, the default: swift where the path is its own, cubic where others fill
//     its queue or its switches mark. For wherever nobody knows what else there is.
//   - cubic: loss and marks, as TCP takes them. The one to use where TCP and
//     others share the way: it takes what they take, and queues as they do.
//   - swift: a target for queueing delay. The one to use where many senders
//     meet; it goes below one datagram per round trip.
//   - timely: the slope of the delay, by rate. eRPC's choice, up to about a
//     hundred senders; swift queues less and shares better.
//   - dctcp: the fraction of ECN marks. For switches that mark; without marks
//     it reacts to heavy loss only.
//
// Those that go by delay work best where they know the fabric's round trip
// (base_rtt). Otherwise they take the least they have measured, and a flow that
// comes to a standing queue takes more than its share for a while.
//
// # An idle network is not throttled
//
// The delays of endpoints are noisier than those of networks: wake-ups take
// tens of microseconds, stalls of the scheduler milliseconds. So the tolerated
// delay grows with the path's own round trip, congestion begins with a delay
// that lasts (delay.go), loss counts from a fraction on (flow.go), RTTs of what
// was sent before a timeout are not looked at, and quiet round trips lead back
// to full speed in the manner of slow start. cubic counts each loss, as those do
// that it shares with, and takes back what was no loss.
//
// # Pacing
//
// A controller's Rate is 0 unless it is congested, and then the engine keeps no
// schedule. Otherwise a [Wheel] holds one [Item] for each paced flow, not for
// each packet.
package cc
