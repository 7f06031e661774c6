package packet

import (
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// receiveSpan is how many packet numbers behind the largest are still told
// apart as received or not. Older ones are dropped as duplicates would be.
const receiveSpan = 64 * (wire.MaxAckWords - 1)

// received tracks the packet numbers that arrived from a peer, to drop
// duplicates and to acknowledge.
type received struct {
	next uint64 // one more than the largest received
	// bitmap is a ring of words: packet n is bit n%64 of word n/64.
	bitmap [wire.MaxAckWords]uint64

	ce      uint16
	pending int           // packets not acknowledged yet
	now     bool          // the peer asked not to delay
	since   time.Duration // arrival of the largest
	due     time.Duration // when pending must be acknowledged at the latest
	// floor is next as of the last two acknowledgements, or the number of a packet
	// below that came since: what lies below was reported at least twice.
	floor [2]uint64
}

// expand gives the full packet number whose low 32 bits are n, nearest to near.
func expand(n uint32, near uint64) uint64 {
	return near + uint64(int64(int32(n-uint32(near))))
}

// fresh says whether packet n, of 1 to 1<<63 - 1, was not received yet, and is not too
// old to be told from others.
func (r *received) fresh(n uint64) bool {
	return n-1 < 1<<63-1 && n+receiveSpan >= r.next &&
		(n >= r.next || r.bitmap[n/64%wire.MaxAckWords]>>(n%64)&1 == 0)
}

// add notes packet n, of 1 to 1<<63 - 1, and says whether it is new.
func (r *received) add(n uint64) bool {
	if n+receiveSpan < r.next {
		return false
	}
	word, bit := n/64, uint64(1)<<(n%64)
	if n >= r.next {
		// Words that the window slides over belong to older numbers.
		if last := (r.next + 63) / 64; word >= last {
			for w := max(last, word-min(word, wire.MaxAckWords-1)); w <= word; w++ {
				r.bitmap[w%wire.MaxAckWords] = 0
			}
		}
		r.next = n + 1
	} else if r.bitmap[word%wire.MaxAckWords]&bit != 0 {
		return false
	} else {
		r.floor[0], r.floor[1] = min(r.floor[0], n), min(r.floor[1], n)
	}
	r.bitmap[word%wire.MaxAckWords] |= bit
	return true
}

// window returns 64 bits of the bitmap of which the most significant is packet
// last.
func (r *received) window(last uint64) uint64 {
	word, shift := last/64, 63-last%64
	w := r.bitmap[word%wire.MaxAckWords] << shift
	if shift > 0 && word > 0 {
		w |= r.bitmap[(word-1)%wire.MaxAckWords] >> (64 - shift)
	}
	return w
}

// words is how many a block has that reports what is to be reported.
func (r *received) words() uint8 {
	last := r.next - 1
	return uint8(min((last-min(r.floor[0], last))/64+1, receiveSpan/64))
}

// wordsAlone is how many a block has that travels alone, where 64 numbers more cost next
// to nothing. Where 1 % is lost, so are two reports in a row of ten thousand, and all that
// they told of would count as lost.
func (r *received) wordsAlone() uint8 {
	return uint8(min(uint64(r.words())+1, (r.next-1)/64+1, receiveSpan/64))
}

// report encodes a block of so many words at the start of b, takes all that is pending
// as acknowledged, and returns the block's size.
func (r *received) report(b []byte, words uint8, now time.Duration) (size int) {
	last := r.next - 1
	size = wire.PutAckFixed(b, uint32(last), uint16(min((now-r.since)/time.Microsecond, wire.MaxAckDelay)), r.ce)
	for ; words > 0; words-- {
		size += wire.PutAckWord(b[size:], r.window(last))
		last -= 64
	}
	r.floor = [2]uint64{r.floor[1], r.next}
	r.pending, r.now = 0, false
	return size
}
