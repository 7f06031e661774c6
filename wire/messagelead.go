package wire

import "encoding/binary"

// MessageLead is the first MessageHeaderSize bytes of a message as two numbers, less
// its length: all of the header, where it has no flags.
type MessageLead struct{ low, high uint64 }

// NewMessageLead makes that of a message without flags, whose Code is 0.
func NewMessageLead(kind Kind, session, generation, slot, method uint16, sequence uint32) MessageLead {
	return MessageLead{
		low:  uint64(kind) | uint64(session)<<32 | uint64(generation)<<48,
		high: uint64(slot) | uint64(method)<<16 | uint64(sequence)<<32,
	}
}

// Lead is m's, flags and code included.
func (m *MessageHeader) Lead() MessageLead {
	l := NewMessageLead(m.Kind, m.Session, m.Generation, m.Slot, m.Method, m.Sequence)
	l.low |= uint64(m.Flags) | uint64(m.Code)<<8
	return l
}

// Answer is that of the Response to a Request.
func (l MessageLead) Answer() MessageLead {
	return MessageLead{low: l.low&^0xFFFFFFFF | uint64(Response), high: l.high &^ 0xFFFF0000}
}

// ParseMessage is the message at the start of b, if it is a Request or Response
// without flags; plain is false if it is anything else, which Message.Parse decodes.
// end is where it ends in b.
func ParseMessage(b []byte) (l MessageLead, end int, plain bool) {
	if len(b) < MessageHeaderSize {
		return l, 0, false
	}
	l.low, l.high = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	end = MessageHeaderSize + int(uint16(l.low>>16))
	return l, end, uint8(l.low)-1 < uint8(Response) && end <= len(b)
}

// Put encodes the header at the start of b, for a body of length bytes.
func (l MessageLead) Put(b []byte, length int) {
	_ = b[MessageHeaderSize-1]
	binary.LittleEndian.PutUint64(b, l.low|uint64(uint16(length))<<16)
	binary.LittleEndian.PutUint64(b[8:], l.high)
}

// WithCode is the same with the bits of a code set.
func (l MessageLead) WithCode(code uint8) MessageLead {
	l.low |= uint64(code) << 8
	return l
}

// WithMethod is the same with the bits of a method set.
func (l MessageLead) WithMethod(method uint16) MessageLead {
	l.high |= uint64(method) << 16
	return l
}

// Header is the same, decoded.
func (l MessageLead) Header() MessageHeader {
	return MessageHeader{
		Kind: l.Kind(), Flags: l.flags(), Code: l.Code(),
		Session: l.Session(), Generation: l.Generation(), Slot: l.Slot(), Method: l.Method(), Sequence: l.Sequence(),
	}
}

// Kind is MessageHeader's, as are the following.
func (l MessageLead) Kind() Kind { return Kind(l.low & kindMask) }

func (l MessageLead) flags() uint8 { return uint8(l.low) &^ kindMask }

// Code is the status of a Response.
func (l MessageLead) Code() uint8 { return uint8(l.low >> 8) }

// Session names the session.
func (l MessageLead) Session() uint16 { return uint16(l.low >> 32) }

// Generation tells the session from others that had its number.
func (l MessageLead) Generation() uint16 { return uint16(l.low >> 48) }

// Slot is a slot of the session.
func (l MessageLead) Slot() uint16 { return uint16(l.high) }

// Method is what a Request asks for.
func (l MessageLead) Method() uint16 { return uint16(l.high >> 16) }

// Sequence counts the requests of the slot.
func (l MessageLead) Sequence() uint32 { return uint32(l.high >> 32) }
