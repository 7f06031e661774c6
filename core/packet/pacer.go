package packet

import (
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
)

const (
	// The pacing wheel of an endpoint: how exactly it is set, and how far it
	// reaches in one turn.
	wheelGranularity = time.Microsecond
	wheelSlots       = 4096
	// maxLate is by how much packets that a busy host sent late bring the next
	// ones forward.
	maxLate = time.Millisecond
)

// pacer spreads a connection's datagrams in time, while its controller names a
// rate. What waits is the connection, not its datagrams: they are built when they
// leave, so that they are full, and nothing has to be taken back when a message is
// not wanted any more.
type pacer struct {
	rate uint64 // bytes a second; 0: unpaced
	// last is when the last datagram was to leave, and debt its bytes. The next
	// follows once the rate, as it then is, has paid for them.
	last    time.Duration
	debt    int
	waiting bool    // something was held back, so that the rate counts from last
	place   cc.Item // in the endpoint's wheel
}

// gap is the time that the last datagram takes at the present rate.
func (p *pacer) gap() time.Duration {
	return time.Duration(uint64(p.debt) * uint64(time.Second) / p.rate)
}

// due is when the next datagram may leave.
func (p *pacer) due() time.Duration { return p.last + p.gap() }

// spend notes that a datagram leaves, at or after due.
func (p *pacer) spend(size int, now time.Duration) {
	start := now
	if p.waiting {
		start = max(p.due(), now-maxLate)
	}
	p.last, p.debt = start, size
}

// paced says whether the next datagram may leave now. If not, it will be looked
// at when it may.
func (c *Conn) paced() bool {
	if c.rate == 0 {
		c.stopWaiting()
		return true
	}
	if at := c.due(); at > c.e.now {
		c.waiting = true
		c.e.wheel.Insert(&c.place, at)
		return false
	}
	return true
}

// stopWaiting forgets that something was held back.
func (c *Conn) stopWaiting() {
	if c.waiting {
		c.waiting = false
		c.e.wheel.Remove(&c.place)
	}
}

// unpace lets connections send that were held back until now.
func (e *Endpoint) unpace() {
	for item := e.wheel.Reap(e.now); item != nil; item = e.wheel.Reap(e.now) {
		item.Owner.(*Conn).Touch()
	}
}
