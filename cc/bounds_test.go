package cc_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/cc"
)

func TestWhateverHappensWindowAndRateStayInBounds(t *testing.T) {
	t.Parallel()
	for _, name := range cc.Names() {
		make, most := factory(t, name), cc.DefaultWindow
		if name == "cubic" || name == "auto" {
			most = 16 << 20
		}
		rapid.Check(t, func(t *rapid.T) {
			bytes := rapid.OneOf(rapid.IntRange(0, 1<<20), rapid.SampledFrom([]int{0, -1, math.MaxInt, math.MinInt}))
			times := rapid.OneOf(rapid.Int64Range(0, 1e7), rapid.SampledFrom([]int64{0, -1, math.MaxInt64, math.MinInt64}))
			datagram := rapid.SampledFrom([]int{0, 1, 1200, 8972, 65507, math.MaxInt, -1})
			path := cc.Path{Datagram: rapid.SampledFrom([]int{0, 1200, 65507}).Draw(t, "path"), LinkRate: rapid.Uint64().Draw(t, "link")}
			c, twin := make(path), make(path)
			now, size := time.Duration(0), max(1, path.Datagram)
			for range rapid.IntRange(1, 200).Draw(t, "events") {
				if rapid.Bool().Draw(t, "advance") {
					now += time.Duration(rapid.Int64Range(0, 1e8).Draw(t, "by"))
				}
				event := rapid.IntRange(0, 6).Draw(t, "event")
				n, flying := bytes.Draw(t, "bytes"), bytes.Draw(t, "in flight")
				ack := cc.Ack{
					Now: now, Packets: n, Bytes: n, InFlight: flying,
					RTT: time.Duration(times.Draw(t, "rtt")), Sent: now - time.Duration(times.Draw(t, "ago")), CE: bytes.Draw(t, "ce"), Datagram: datagram.Draw(t, "datagram"),
				}
				for _, c := range []cc.Controller{c, twin} {
					switch event {
					case 0:
						c.Sent(now, n, flying)
					case 1:
						c.Lost(cc.Loss{Now: now, Bytes: n, Sent: ack.Sent, InFlight: flying})
					case 2:
						c.TimedOut(now)
					case 3:
						c.Spurious(now, n)
					default:
						c.Acked(ack)
						if ack.Datagram > 0 {
							size = min(ack.Datagram, 1<<16)
						}
					}
				}
				require.Equal(t, c.Window(), twin.Window(), "deterministic")
				require.Equal(t, c.Rate(), twin.Rate(), "deterministic")
				require.GreaterOrEqual(t, c.Window(), size)
				require.LessOrEqual(t, c.Window(), most)
				require.Less(t, c.Rate(), uint64(1e15))
			}
		})
	}
}

func TestEventsDoNotAllocate(t *testing.T) {
	for _, name := range cc.Names() {
		c := factory(t, name)(cc.Path{Datagram: 1200})
		now := time.Duration(0)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			now += 50 * time.Microsecond
			c.Sent(now, 1200, 2400)
			c.Acked(cc.Ack{Now: now, Packets: 1, Bytes: 1200, RTT: now / 10, Sent: now - now/10, InFlight: 1200})
			c.Lost(cc.Loss{Now: now, Bytes: 1200, Sent: now - now/10, InFlight: 1200})
			c.Spurious(now, 1200)
			c.TimedOut(now)
		}), name)
	}
}

// What a turn of the engine asks of a controller: a burst was acknowledged, one
// is sent, and after each it wants the window and the rate.
func BenchmarkTurn(b *testing.B) {
	for _, load := range []struct {
		name         string
		burst, bytes int           // in flight
		turn         time.Duration // from one to the next; an RTT is 20 µs
	}{
		{"small RPCs", 1500, 1500, 20 * time.Microsecond},
		{"upload", 9600, 1 << 20, 2 * time.Microsecond},
	} {
		for _, name := range cc.Names() {
			b.Run(load.name+"/"+name, func(b *testing.B) {
				a, _ := cc.Lookup(name)
				f, _ := a.New(a.Config())
				c := f(cc.Path{Datagram: 1200})
				now, rtt, answers := time.Second, 20*time.Microsecond, 0
				for b.Loop() {
					now += load.turn
					c.Acked(cc.Ack{
						Now: now, Packets: 1, Bytes: load.burst, RTT: rtt, Sent: now - rtt,
						InFlight: load.bytes - load.burst, Datagram: 8972,
					})
					answers += c.Window() + int(c.Rate())
					c.Sent(now, load.burst, load.bytes)
					answers += c.Window() + int(c.Rate())
				}
				require.NotZero(b, answers)
			})
		}
	}
}
