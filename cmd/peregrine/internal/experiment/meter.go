package experiment

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// tick is how exactly goodput is known in time.
const tick = 250 * time.Microsecond

// meter is a port that counts what arrives of uploads, each byte once however
// often it was sent.
type meter struct {
	*sim.Port
	rack    *rack
	sources map[netip.AddrPort]*arrivals
}

// arrivals are those from one sender.
type arrivals struct {
	start time.Duration
	bytes []int // by tick
	slots []arriving
}

// arriving is the newest message of a slot.
type arriving struct {
	sequence uint32
	stride   uint16
	have     []bool // by fragment
	bytes    int
}

func newMeter(p *sim.Port, r *rack) *meter {
	return &meter{p, r, map[netip.AddrPort]*arrivals{}}
}

// from returns the arrivals from a sender, which may yet begin.
func (m *meter) from(addr netip.AddrPort) *arrivals {
	a := m.sources[addr]
	if a == nil {
		a = &arrivals{start: m.rack.start}
		m.sources[addr] = a
	}
	return a
}

// Recv implements transport.Transport.
func (m *meter) Recv(pkts []transport.RxPacket) (int, error) {
	n, err := m.Port.Recv(pkts)
	for i := range pkts[:n] {
		m.count(&pkts[i])
	}
	return n, err
}

func (m *meter) count(p *transport.RxPacket) {
	var header wire.Header
	var message wire.Message
	rest, err := header.Parse(p.Data)
	for header.Type == wire.Data && err == nil && len(rest) > 0 {
		if rest, err = message.Parse(rest); err == nil && message.Kind == wire.Request && message.Flags&wire.FlagFragment != 0 {
			m.from(p.From).add(m.rack.Now(), &message)
		}
	}
}

// add counts a fragment. Like the engine it drops what it has of a message that
// is then sent in smaller pieces.
func (a *arrivals) add(now time.Duration, m *wire.Message) {
	for int(m.Slot) >= len(a.slots) {
		a.slots = append(a.slots, arriving{})
	}
	at := int((now - a.start) / tick)
	for at >= len(a.bytes) {
		a.bytes = append(a.bytes, 0)
	}
	s := &a.slots[m.Slot]
	switch newer := int32(m.Sequence - s.sequence); {
	case newer < 0 || newer == 0 && m.Stride > s.stride:
		return
	case newer == 0 && m.Stride < s.stride:
		a.bytes[at] -= s.bytes
		fallthrough
	case newer > 0:
		fragments := m.Total/uint32(m.Stride) + 1
		*s = arriving{m.Sequence, m.Stride, append(s.have[:0], make([]bool, fragments)...), 0}
	}
	if s.have[m.Index] {
		return
	}
	s.have[m.Index] = true
	s.bytes += len(m.Body)
	a.bytes[at] += len(m.Body)
}

// rate is the goodput in bits per second from one time to another, both taken
// to the tick before.
func (a *arrivals) rate(from, to time.Duration) float64 {
	first, last := int((from-a.start)/tick), int((to-a.start)/tick)
	sum := 0
	for i := first; i < min(last, len(a.bytes)); i++ {
		sum += a.bytes[i]
	}
	return float64(sum) * 8 / (time.Duration(last-first) * tick).Seconds()
}
