package wire

import "encoding/binary"

// Lead is the first HeaderSize bytes of a datagram as two numbers: enough to tell
// what most of them are. [Header.Parse] has the rest, and the checks.
type Lead struct{ low, high uint64 }

// LeadOf reads a datagram of HeaderSize bytes or more.
func LeadOf(b []byte) Lead {
	return Lead{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
}

// Plain says whether it is of a Data datagram of this version without a checksum.
func (l Lead) Plain() bool {
	const start = 0xFFFF | (0xFF&^FlagAckNow)<<16
	return l.low&start == magic|Version<<12|uint64(Data)<<8
}

// Sealed says whether it is of a sealed Data datagram of this version.
func (l Lead) Sealed() bool {
	const start = 0xFFFF | (0xFF&^(FlagAckNow|FlagPhase))<<16
	return l.low&start == magic|Version<<12|uint64(Data)<<8|FlagSealed<<16
}

// AckNow says whether it asks for its acknowledgement at once.
func (l Lead) AckNow() bool { return l.low&(FlagAckNow<<16) != 0 }

// Words is how many the acknowledgement block that follows has; 0: none follows.
func (l Lead) Words() uint8 { return uint8(l.low >> 24) }

// Connection is Header's.
func (l Lead) Connection() uint32 { return uint32(l.low >> 32) }

// Token is Header's.
func (l Lead) Token() uint32 { return uint32(l.high) }

// Number is Header's.
func (l Lead) Number() uint32 { return uint32(l.high >> 32) }
