package wire

import "encoding/binary"

// Lead is the first HeaderSize bytes of a datagram as two numbers: enough to tell
// what most of them are. [Header.Parse] has the rest, and the checks.
type Lead struct{ low, high uint64 }

// LeadOf reads a datagram of HeaderSize bytes or more.
func LeadOf(b []byte) Lead {
	return Lead{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
}

// Like says whether it begins with the word low of [LeadWords], of a datagram without
// acknowledgements, but for what differs from one datagram of a connection to the next:
// their words, FlagAckNow and, of sealed ones, FlagPhase.
func (l Lead) Like(low uint64) bool {
	return (l.low^low)&^(FlagAckNow<<16|0xFF<<24|low&(FlagSealed<<16)<<1) == 0
}

// Numbered says whether it has this token and number.
func (l Lead) Numbered(token, number uint32) bool { return l.high == uint64(token)|uint64(number)<<32 }

// AckNow says whether it asks for its acknowledgement at once.
func (l Lead) AckNow() bool { return l.low&(FlagAckNow<<16) != 0 }

// Words is how many the acknowledgement block that follows has; 0: none follows.
func (l Lead) Words() uint8 { return uint8(l.low >> 24) }

// Connection is Header's.
func (l Lead) Connection() uint32 { return uint32(l.low >> 32) }
