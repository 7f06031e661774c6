package wire

import "time"

// MaxTimeout is the longest time that a message's Deadline expresses, 24 days.
const MaxTimeout = (coarse - 1) * time.Millisecond

// coarse is the bit that makes the unit of a Deadline a millisecond.
const coarse = 1 << 31

// EncodeTimeout is d, cut to MaxTimeout, in the encoding of Deadline:
// microseconds up to 2^31-1 of them, 35 minutes, and milliseconds beyond, with
// bit 31 set. It rounds down, save that what is left is never 0.
func EncodeTimeout(d time.Duration) uint32 {
	switch {
	case d <= 0:
		return 0
	case d < coarse*time.Microsecond:
		return uint32(max(1, d/time.Microsecond))
	}
	return coarse | uint32(min(d, MaxTimeout)/time.Millisecond)
}

// DecodeTimeout is what EncodeTimeout encoded.
func DecodeTimeout(left uint32) time.Duration {
	if left&coarse != 0 {
		return time.Duration(left&^coarse) * time.Millisecond
	}
	return time.Duration(left) * time.Microsecond
}
