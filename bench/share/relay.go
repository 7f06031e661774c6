package main

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// relay forwards between two tunnels: what the kernel's netem and red would do,
// which not every kernel has. Toward the server packets wait in a queue of a rate,
// first in, first out, and both ways take half the round trip.
//
// When a packet leaves the queue is computed and not waited for, so that the rate
// is right however late this process is scheduled.
type relay struct {
	ends  [2]*os.File
	lanes sync.WaitGroup
}

// markAt is the part of the queue from which each packet that may be is marked, as
// from RED's maximum on (RFC 3168); what comes to less is marked by chance that
// rises to markMost, from half of that on.
const (
	markAt   = 0.5
	markMost = 0.1
)

func newRelay(p path, client, server *os.File) *relay {
	r := &relay{ends: [2]*os.File{client, server}}
	back := path{trip: p.trip, loss: p.loss}
	r.lane(p, client, server)
	r.lane(back, server, client)
	return r
}

func (r *relay) close() error {
	err := errors.Join(r.ends[0].Close(), r.ends[1].Close())
	r.lanes.Wait()
	return err
}

// parcel is a packet on its way.
type parcel struct {
	at   time.Time
	data []byte
}

// lane is one direction.
type lane struct {
	path
	chance *rand.Rand
	free   time.Time // when all that was accepted is sent
}

func (r *relay) lane(p path, from, to *os.File) {
	// As many as fit in the queue and on the way, or they are lost.
	under := make(chan parcel, 1<<14)
	spare := make(chan []byte, 1<<14)
	r.lanes.Go(func() {
		defer close(under)
		l := lane{path: p, chance: rand.New(rand.NewPCG(1, uint64(p.rate)))}
		for {
			var data []byte
			select {
			case data = <-spare:
			default:
				data = make([]byte, mtu)
			}
			n, err := from.Read(data[:mtu])
			if err != nil {
				return
			}
			if at, ok := l.take(data[:n], time.Now()); ok {
				under <- parcel{at, data[:n]}
			} else {
				spare <- data
			}
		}
	})
	r.lanes.Go(func() {
		for p := range under {
			if wait := time.Until(p.at); wait > 0 {
				time.Sleep(wait)
			}
			_, _ = to.Write(p.data) // a tunnel that is closed, at the end
			select {
			case spare <- p.data:
			default:
			}
		}
	})
}

// take says when a packet arrives, if it does.
func (l *lane) take(packet []byte, now time.Time) (at time.Time, ok bool) {
	if l.chance.Float64() < l.loss {
		return at, false
	}
	if l.rate == 0 {
		return now.Add(l.trip / 2), true
	}
	wait := max(0, l.free.Sub(now))
	takes := time.Duration(float64(len(packet)) * 8 / float64(l.rate) * 1e9)
	if wait+takes > l.queue {
		return at, false
	}
	if l.marks {
		l.mark(packet, float64(wait)/(markAt*float64(l.queue)))
	}
	l.free = now.Add(wait + takes)
	return l.free.Add(l.trip / 2), true
}

// mark sets CE in an IPv4 packet that says it understands, in a queue that is so
// full.
func (l *lane) mark(packet []byte, full float64) {
	ecn := packet[1] & 3
	if len(packet) < 20 || packet[0]>>4 != 4 || ecn == 0 || ecn == 3 {
		return
	}
	if full < 0.5 || full < 1 && l.chance.Float64() > markMost*(2*full-1) {
		return
	}
	// RFC 1624, equation 3.
	before := binary.BigEndian.Uint16(packet)
	packet[1] |= 3
	sum := uint32(^binary.BigEndian.Uint16(packet[10:])) + uint32(^before) + uint32(binary.BigEndian.Uint16(packet))
	sum = sum&0xFFFF + sum>>16
	sum = sum&0xFFFF + sum>>16
	binary.BigEndian.PutUint16(packet[10:], ^uint16(sum))
}
