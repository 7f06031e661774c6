package cc

import "time"

const (
	// Constants of RFC 9406, section 4.3.
	hystartLeast, hystartMost = 4 * time.Millisecond, 16 * time.Millisecond
	hystartDivisor            = 8
	hystartSlow               = 4 // CSS_GROWTH_DIVISOR
	hystartRounds             = 5 // CSS_ROUNDS
	// hystartSamples is N_RTT_SAMPLE, which is 8 there. Here an acknowledgement is
	// asked for four times a window.
	hystartSamples = 4
)

// hystart is HyStart++ (RFC 9406): slow start that ends when round trips take
// longer, before anything is lost. It first grows by less for a few round trips,
// and goes on as before if they shorten again.
type hystart struct {
	last     time.Duration // least RTT of the last round trip; 0: none
	samples  int           // in this one
	slow     bool          // conservative slow start
	rounds   int           // of it
	baseline time.Duration // least RTT when that began
}

// sample takes in that the least RTT of this round trip is so much by now.
func (h *hystart) sample(least time.Duration) {
	h.samples++
	if h.samples < hystartSamples || h.last == 0 {
		return
	}
	switch threshold := min(max(h.last/hystartDivisor, hystartLeast), hystartMost); {
	case h.slow:
		h.slow = least >= h.baseline
	case least >= h.last+threshold:
		h.slow, h.rounds, h.baseline = true, 0, least
	}
}

// round ends a round trip, and says whether slow start is over.
func (h *hystart) round(least time.Duration) (over bool) {
	h.last, h.samples = least, 0
	if h.slow {
		h.rounds++
	}
	return h.slow && h.rounds >= hystartRounds
}

// growth is by how much the window grows after so many bytes were acknowledged.
func (h *hystart) growth(bytes int) float64 {
	if h.slow {
		return float64(bytes) / hystartSlow
	}
	return float64(bytes)
}
