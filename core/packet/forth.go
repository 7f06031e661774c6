package packet

import "time"

const (
	// What a way was without queues is as good as forgotten after forthAge: clocks
	// drift apart by some hundred microseconds in that time at most, if nobody sets
	// them, and routes change.
	forthAge = 10 * time.Second
	// A round trip that is longer than the least by no more than this part shows what
	// a way is without queues.
	forthNear = 8
)

// forth tells what of a round trip was waiting on the way to the peer, by when the
// peer says that a packet arrived. The clocks are not set alike: only how the
// difference changes says something, beside when a round trip took least, so that
// nothing waited on either way. Controllers are to heed queues that they fill, and
// those are on the way there.
type forth struct {
	arrival uint32 // by the peer's clock, in microseconds modulo 2^32
	told    bool   // of the acknowledgement in hand

	least quietTrip
	// latest has the least round trip since least was last seen, and takes its place
	// when that is too long ago.
	latest quietTrip
}

// quietTrip is a round trip in which nothing waited, as far as is known.
type quietTrip struct {
	trip time.Duration // 0: none
	way  uint32        // from sending to arrival, by two clocks, in microseconds
	at   time.Duration
}

// less returns a round trip, of a packet sent at sent, less what waited on the way
// back.
func (f *forth) less(now, sent, trip time.Duration) time.Duration {
	way := f.arrival - uint32(sent/time.Microsecond)
	if f.least.trip != 0 && now-f.least.at > forthAge && f.latest.trip != 0 {
		f.least, f.latest = f.latest, quietTrip{}
		f.least.at = now
	}
	least := &f.least
	late := trip - least.trip
	switch {
	case least.trip == 0 || late <= 0:
		f.least, f.latest = quietTrip{trip, way, now}, quietTrip{}
		return trip
	case late <= least.trip/forthNear:
		least.way, least.at, f.latest = way-uint32(late/time.Microsecond), now, quietTrip{}
		return trip
	case f.latest.trip == 0 || trip < f.latest.trip:
		f.latest = quietTrip{trip, way, now}
	}
	waited := int32(way - least.way)
	if waited < 0 {
		least.way, waited = way, 0
	}
	return least.trip + min(late, time.Duration(waited)*time.Microsecond)
}
