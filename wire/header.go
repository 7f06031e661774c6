package wire

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Version is the protocol version that this package speaks.
const Version = 1

const magic = 0xF7

// Sizes in bytes.
const (
	HeaderSize    = 16 // without checksum and acknowledgements
	ChecksumSize  = 4
	TagSize       = 16 // of what is sealed
	AckFixedSize  = 8  // acknowledgement block without its bitmap
	MaxAckWords   = 8
	MaxHeaderSize = HeaderSize + ChecksumSize + AckFixedSize + 8*MaxAckWords
)

// Type says what a datagram holds.
type Type uint8

// Datagram types.
const (
	Data          Type = iota // numbered; messages follow
	Ack                       // not numbered; acknowledgements only
	Hello                     // handshake, client to server
	Retry                     // handshake: come back with this cookie
	Accept                    // handshake: connected
	Refuse                    // handshake: not connected, and why
	Reset                     // the connection you address does not exist
	Close                     // the sender ends the connection
	PathChallenge             // show that you get what is sent to your new address
	PathResponse              // what came to it
	Crypto                    // handshake of a sealed connection
	PostCrypto                // the same, of one that is connected
	numTypes
)

// Header flags.
const (
	// FlagChecksum says that a CRC-32C of the datagram follows the header.
	FlagChecksum = 1 << iota
	// FlagAckNow asks the receiver not to delay its acknowledgement.
	FlagAckNow
	// FlagSealed says that all behind the first HeaderSize bytes is sealed, and those
	// are authenticated. There is no checksum then.
	FlagSealed
	// FlagPhase is set if the keys are those of an odd update (FlagSealed only).
	FlagPhase

	knownFlags = FlagChecksum | FlagAckNow | FlagSealed | FlagPhase
)

// Decoding errors. Each is counted and the datagram dropped.
var (
	ErrLength   = errors.New("wire: datagram or message has a wrong length")
	ErrMagic    = errors.New("wire: not a Peregrine datagram")
	ErrVersion  = errors.New("wire: unknown protocol version")
	ErrType     = errors.New("wire: unknown type or flag")
	ErrParams   = errors.New("wire: limits that nothing can be sent within")
	ErrChecksum = errors.New("wire: checksum mismatch")
)

// Header is the start of every datagram.
type Header struct {
	Type  Type
	Flags uint8
	// Connection is the receiver's index of the connection, and Token the
	// random generation that the receiver gave it; both 0 in Hello.
	Connection uint32
	Token      uint32
	// Number is the low 32 bits of the packet number: of Data, and of all that is
	// sealed.
	Number uint32
	// Acks is for Data and Ack only, so that bodies of the handshake begin at
	// the same place in every version.
	Acks AckBlock
}

// AckBlock acknowledges Data packets. Word i of Bitmap covers the 64 packets
// that end with Largest-64i, its most significant bit being that last one. So
// the first bit of a non-empty block, Largest itself, is always set.
type AckBlock struct {
	Words   uint8 // words of Bitmap in use; 0 means no block
	Largest uint32
	// Delay is how long Largest waited at the receiver, in microseconds;
	// MaxAckDelay means at least so long.
	Delay uint16
	// CE counts, modulo 2^16, Data packets that arrived with ECN mark CE.
	CE     uint16
	Bitmap [MaxAckWords]uint64
}

// MaxAckDelay is the greatest delay that an AckBlock expresses, in
// microseconds.
const MaxAckDelay = 1<<16 - 1

// ArrivalSize is the length of an encoded arrival time in bytes.
const ArrivalSize = 4

// PutArrival encodes, behind the block of an Ack datagram, when the block's Largest
// arrived by the receiver's own clock, in microseconds modulo 2^32.
func PutArrival(b []byte, at uint32) { binary.LittleEndian.PutUint32(b, at) }

// Arrival decodes what follows the block of an Ack datagram; false: nothing does.
func Arrival(rest []byte) (at uint32, ok bool) {
	if len(rest) < ArrivalSize {
		return 0, false
	}
	return binary.LittleEndian.Uint32(rest), true
}

// Size is the length of the encoded header in bytes; with FlagSealed, of what stays
// readable.
func (h *Header) Size() int {
	if h.Flags&FlagSealed != 0 {
		return HeaderSize
	}
	n := HeaderSize
	if h.Flags&FlagChecksum != 0 {
		n += ChecksumSize
	}
	return n + h.Acks.Size()
}

// Put encodes h at the start of b, which must hold h.Size() bytes, and returns
// that size. A checksum is left for [Seal], and with FlagSealed all that follows.
func (h *Header) Put(b []byte) int {
	PutLead(b, h.Type, h.Flags, h.Acks.Words, h.Connection, h.Token, h.Number)
	n := HeaderSize
	if h.Flags&FlagSealed != 0 {
		return n
	}
	if h.Flags&FlagChecksum != 0 {
		n += ChecksumSize
	}
	return n + h.Acks.Put(b[n:])
}

// PutLead encodes the first HeaderSize bytes of a datagram, of whose header that is
// all where it has no checksum and no words of acknowledgements.
func PutLead(b []byte, t Type, flags, words uint8, connection, token, number uint32) {
	low, high := LeadWords(t, flags, words, connection, token)
	PutLeadWords(b, low, high, number)
}

// LeadWords are those bytes as two words, but for the number: the same for all datagrams
// of a connection that differ in no more.
func LeadWords(t Type, flags, words uint8, connection, token uint32) (low, high uint64) {
	return magic | uint64(Version<<4|t)<<8 | uint64(flags)<<16 | uint64(words)<<24 | uint64(connection)<<32, uint64(token)
}

// PutLeadWords encodes them, with a number.
func PutLeadWords(b []byte, low, high uint64, number uint32) {
	_ = b[HeaderSize-1]
	binary.LittleEndian.PutUint64(b, low)
	binary.LittleEndian.PutUint64(b[8:], high|uint64(number)<<32)
}

// AskAck sets FlagAckNow in an encoded header.
func AskAck(b []byte) { b[2] |= FlagAckNow }

// Size is the length of the encoded block in bytes.
func (a *AckBlock) Size() int { return AckSize(a.Words) }

// AckSize returns the encoded length of a block of so many words.
func AckSize(words uint8) int {
	if words == 0 {
		return 0
	}
	return AckFixedSize + 8*int(words)
}

// Put encodes a at the start of b, which must hold a.Size() bytes, and returns that
// size.
func (a *AckBlock) Put(b []byte) int {
	if a.Words == 0 {
		return 0
	}
	n := PutAckFixed(b, a.Largest, a.Delay, a.CE)
	for _, word := range a.Bitmap[:a.Words] {
		n += PutAckWord(b[n:], word)
	}
	return n
}

// PutAckFixed encodes the first AckFixedSize bytes of a block, which its words follow,
// and returns that size.
func PutAckFixed(b []byte, largest uint32, delay, ce uint16) int {
	binary.LittleEndian.PutUint64(b, uint64(largest)|uint64(delay)<<32|uint64(ce)<<48)
	return AckFixedSize
}

// PutAckWord encodes a word of a block's bitmap, and returns its size.
func PutAckWord(b []byte, word uint64) int {
	binary.LittleEndian.PutUint64(b, word)
	return 8
}

// Parse decodes the block of so many words, 1 to MaxAckWords, at the start of b, and
// returns its size; 0: b is too short.
func (a *AckBlock) Parse(words uint8, b []byte) int {
	size := AckFixedSize + 8*int(words)
	if len(b) < size || len(b) < AckFixedSize+8 {
		return 0
	}
	a.Words = words
	fixed := binary.LittleEndian.Uint64(b)
	a.Largest, a.Delay, a.CE = uint32(fixed), uint16(fixed>>32), uint16(fixed>>48)
	a.Bitmap[0] = binary.LittleEndian.Uint64(b[AckFixedSize:]) // mostly that is all
	for i := 1; i < int(words); i++ {
		a.Bitmap[i] = binary.LittleEndian.Uint64(b[AckFixedSize+8*i:])
	}
	return size
}

// Parse decodes the header at the start of datagram b into h and returns what
// follows it. Words of h.Acks.Bitmap beyond h.Acks.Words are left as they were.
// The checksum is for [Verify]. With FlagSealed what follows is what was sealed, the
// block of acknowledgements with it: of h.Acks only Words is set.
//
// The layout of Hello and Refuse is the same in every version, so that either
// side can say which it speaks: for these, rest comes with ErrVersion too.
func (h *Header) Parse(b []byte) (rest []byte, err error) {
	if len(b) < HeaderSize {
		return nil, ErrLength
	}
	low, high := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if uint8(low) != magic {
		return nil, ErrMagic
	}
	h.Type, h.Flags, h.Acks.Words = Type(low>>8&0xF), uint8(low>>16), uint8(low>>24)
	h.Connection, h.Token, h.Number = uint32(low>>32), uint32(high), uint32(high>>32)
	if low>>12&0xF != Version {
		if (h.Type == Hello || h.Type == Refuse) && len(b) >= HeaderSize+ChecksumSize {
			return b[HeaderSize+ChecksumSize:], ErrVersion
		}
		return nil, ErrVersion
	}
	if h.Type >= numTypes || h.Flags&^knownFlags != 0 {
		return nil, ErrType
	}
	if h.Flags&(FlagSealed|FlagPhase) != 0 {
		return h.parseSealed(b)
	}
	n := HeaderSize
	if h.Flags&FlagChecksum != 0 {
		n += ChecksumSize
		if len(b) < n {
			return nil, ErrLength
		}
	}
	if w := int(h.Acks.Words); w > 0 {
		if w > MaxAckWords || h.Type > Ack {
			return nil, ErrLength
		}
		size := h.Acks.Parse(h.Acks.Words, b[n:])
		if size == 0 {
			return nil, ErrLength
		}
		n += size
	}
	return b[n:], nil
}

// parseSealed goes on with a header with FlagSealed or FlagPhase.
func (h *Header) parseSealed(b []byte) (rest []byte, err error) {
	switch {
	case h.Flags&FlagSealed == 0 || h.Flags&FlagChecksum != 0 || !h.Type.sealed():
		return nil, ErrType
	case len(b) < HeaderSize+TagSize || h.Acks.Words > MaxAckWords || h.Acks.Words > 0 && h.Type > Ack:
		return nil, ErrLength
	}
	return b[HeaderSize:], nil
}

// sealed says whether datagrams of the type may be: those between two sides that know
// each other.
func (t Type) sealed() bool { return t <= Ack || t >= Close }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the whole datagram but the checksum field itself.
func checksum(head, payload []byte) uint32 {
	c := crc32.Update(0, castagnoli, head[:HeaderSize])
	c = crc32.Update(c, castagnoli, head[HeaderSize+ChecksumSize:])
	return crc32.Update(c, castagnoli, payload)
}

// Seal writes the checksum of the datagram head+payload into head, whose
// header has FlagChecksum.
func Seal(head, payload []byte) {
	binary.LittleEndian.PutUint32(head[HeaderSize:], checksum(head, payload))
}

// Verify checks the checksum of datagram b, whose header has FlagChecksum and
// was parsed without an error.
func Verify(b []byte) error {
	if binary.LittleEndian.Uint32(b[HeaderSize:]) != checksum(b, nil) {
		return ErrChecksum
	}
	return nil
}
