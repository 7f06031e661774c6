package packet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/wire"
)

// An acknowledgement is taken in by rows of packets. What it comes to is told here packet
// by packet: each that it names and that is in flight has arrived, with its entries, once;
// of the others nothing is told, and what is in flight is what is left.
func TestAcknowledgingRowsIsAcknowledgingEachPacket(t *testing.T) {
	t.Parallel()
	rows := 0
	rapid.Check(t, func(t *rapid.T) {
		h := newHalf(t, true, plainly)
		c := h.conn
		c.credits = 200
		for range rapid.IntRange(1, 8).Draw(t, "acknowledgements") {
			h.layer.unsent += rapid.IntRange(0, 40).Draw(t, "messages")
			h.Advance(h.now + time.Duration(rapid.IntRange(0, 20_000).Draw(t, "passes"))*time.Microsecond)
			h.Expire()
			c.Touch()
			h.send(t)
			h.Advance(h.now + time.Microsecond)
			if c.next < 2 {
				continue
			}
			a := wire.AckBlock{Words: rapid.Uint8Range(1, wire.MaxAckWords).Draw(t, "words"), CE: c.ce}
			largest := c.next - 1 - min(c.next-2, rapid.Uint64Range(0, 70).Draw(t, "behind"))
			a.Largest = uint32(largest)
			for i := range a.Bitmap {
				a.Bitmap[i] = rapid.SampledFrom([]uint64{0, ^uint64(0), 1 << 63, 1, 0xFFFF_0000_FF00_0F01, rapid.Uint64().Draw(t, "bits")}).Draw(t, "bitmap")
			}
			a.Bitmap[0] |= 1 << 63
			named := func(n uint64) bool {
				d := largest - n
				return n <= largest && d/64 < uint64(a.Words) && a.Bitmap[d/64]<<(d%64)>>63 == 1
			}
			expected, late := map[uint32]int{}, map[uint64]bool{}
			var sent time.Duration
			inFlight, bytes := c.inFlight, c.bytes
			for n := c.oldest(); n < c.next; n++ {
				p := c.packet(n)
				switch {
				case !named(n):
				case p.state == packetInFlight:
					for i := range uint32(p.count) {
						expected[p.first+i]++
					}
					inFlight--
					bytes -= int(p.size)
					if n == largest {
						sent = p.at
					}
				case p.state == packetLost:
					late[n] = true
				}
			}
			reorder, patience := c.reorder, c.patience
			for n := largest; n >= c.oldest(); n-- { // a late one shows how much the path reorders
				switch distance := largest - n + 1; {
				case !late[n]:
				case distance > reorder:
					reorder = min(distance, maxReorder)
				case patience < 4:
					patience++
				}
			}
			h.layer.told = nil
			repeated := h.stats.SpuriousRetransmits
			latest := c.latest
			c.acknowledged(largest, &a, 0)

			told := map[uint32]int{}
			for i := 0; i < len(h.layer.told); i += 3 {
				what, first, count := h.layer.told[i], h.layer.told[i+1], h.layer.told[i+2]
				if what == 2 { // overtaken
					inFlight--
					bytes -= wire.HeaderSize + 1
					continue
				}
				if count > 1 {
					rows++
				}
				for e := range count {
					told[first+e]++
				}
			}
			require.Equal(t, expected, told)
			require.Equal(t, inFlight, c.inFlight)
			require.Equal(t, bytes, c.bytes)
			require.Equal(t, reorder, c.reorder)
			require.Equal(t, patience, c.patience)
			require.GreaterOrEqual(t, h.stats.SpuriousRetransmits, repeated+uint64(len(late)))
			if sent != 0 {
				require.NotZero(t, c.latest)
			} else {
				require.Equal(t, latest, c.latest)
			}
		}
	})
	require.NotZero(t, rows)
}
