package reference

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// The errors of §1.
var (
	errLength   = errors.New("length")
	errMagic    = errors.New("magic")
	errVersion  = errors.New("version")
	errType     = errors.New("type")
	errChecksum = errors.New("checksum")
	errParams   = errors.New("params")
)

// Types (§2.2).
const (
	typeData = iota
	typeAck
	typeHello
	typeRetry
	typeAccept
	typeRefuse
	typeReset
	typeClose
	typeChallenge
	typeResponse
	typeCrypto
	typePostCrypto
)

// Kinds (§3.1).
const (
	kindRequest = iota + 1
	kindResponse
	kindCancel
	kindCloseSession
	kindPing
	kindStreamHeader
	kindStreamData
	kindStreamEnd
	kindStreamWindow
	kindStreamReset
)

const (
	flagSealed, flagPhase = 4, 8

	minHello  = 1200
	traceSize = 25
	window    = 448 // how far back packet numbers are told apart (§2.6)
)

// datagram is one, decoded.
type datagram struct {
	version, kind     uint8
	checksum, ackNow  bool
	connection, token uint32
	number            uint32
	acks              *ackBlock
	messages          []message
	control           []byte // the body, and what is behind it
	// sealed is what this implementation cannot open (§11.2), behind a header with so many words and these flags.
	sealed []byte
	words  int
	flags  byte
}

// ackBlock is §2.5: received says which of the numbers up to largest were, from the latest back.
type ackBlock struct {
	largest   uint32
	delay, ce uint16
	received  []bool
}

// message is §3.
type message struct {
	kind, code                        uint8
	session, generation, slot, method uint16
	sequence                          uint32
	deadline                          *uint32
	fragment                          *fragment
	trace                             []byte // nil: none
	body                              []byte
}

// fragment is §3.3.
type fragment struct {
	total, index uint32
	stride       uint16
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of a datagram, which leaves out its own place (§2.4).
func sum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:16], castagnoli), castagnoli, b[20:])
}

func le16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func (d *datagram) encode() []byte {
	b := make([]byte, 0, 2048)
	flags := byte(0)
	if d.checksum {
		flags |= 1
	}
	if d.ackNow {
		flags |= 2
	}
	flags |= d.flags
	words := d.words
	if d.acks != nil {
		words = (len(d.acks.received) + 63) / 64
	}
	b = append(b, 0xF7, 1<<4|d.kind, flags, byte(words))
	b = append(b, le32(d.connection)...)
	b = append(b, le32(d.token)...)
	b = append(b, le32(d.number)...)
	if d.checksum {
		b = append(b, 0, 0, 0, 0)
	}
	if a := d.acks; a != nil {
		b = append(b, le32(a.largest)...)
		b = append(b, le16(a.delay)...)
		b = append(b, le16(a.ce)...)
		for i := range words {
			word := uint64(0)
			for j := range 64 {
				if at := 64*i + j; at < len(a.received) && a.received[at] {
					word |= 1 << (63 - j)
				}
			}
			b = binary.LittleEndian.AppendUint64(b, word)
		}
	}
	for i := range d.messages {
		b = d.messages[i].append(b)
	}
	b = append(b, d.control...)
	b = append(b, d.sealed...)
	if d.checksum {
		copy(b[16:], le32(sum(b)))
	}
	return b
}

func (m *message) append(b []byte) []byte {
	first := m.kind
	if m.fragment != nil {
		first |= 1 << 4
	}
	if m.deadline != nil {
		first |= 1 << 5
	}
	if m.trace != nil {
		first |= 1 << 6
	}
	b = append(b, first, m.code)
	for _, v := range []uint16{uint16(len(m.body)), m.session, m.generation, m.slot, m.method} {
		b = append(b, le16(v)...)
	}
	b = append(b, le32(m.sequence)...)
	if m.deadline != nil {
		b = append(b, le32(*m.deadline)...)
	}
	if f := m.fragment; f != nil {
		b = append(b, le32(f.total)...)
		b = append(b, le32(f.index)...)
		b = append(b, le16(f.stride)...)
		b = append(b, 0, 0)
	}
	return append(append(b, m.trace...), m.body...)
}

// decode reads a datagram. With errVersion it is valid if it is a Hello or a Refuse (§5.3). Messages that decode before one that
// does not come with its error (§3).
func decode(b []byte) (*datagram, error) {
	if len(b) < 16 {
		return nil, errLength
	}
	if b[0] != 0xF7 {
		return nil, errMagic
	}
	d := &datagram{version: b[1] >> 4, kind: b[1] & 15}
	var other error
	if d.version != 1 {
		if d.kind != typeHello && d.kind != typeRefuse {
			return nil, errVersion
		}
		other = errVersion
	}
	if d.kind > typePostCrypto || b[2]&^15 != 0 {
		return nil, errType
	}
	if d.flags = b[2] & (flagSealed | flagPhase); d.flags != 0 && (d.flags&flagSealed == 0 || b[2]&1 != 0 || d.kind > typeAck && d.kind < typeClose) {
		return nil, errType
	}
	d.checksum, d.ackNow = b[2]&1 != 0, b[2]&2 != 0
	words := int(b[3])
	d.connection, d.token = binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	d.number = binary.LittleEndian.Uint32(b[12:])
	rest := b[16:]
	if d.flags != 0 {
		if len(rest) < 16 || words > 8 || words > 0 && d.kind >= typeHello {
			return nil, errLength
		}
		d.words, d.sealed = words, rest
		return d, nil
	}
	if d.checksum {
		if len(rest) < 4 {
			return nil, errLength
		}
		rest = rest[4:]
	}
	if words > 8 || words > 0 && d.kind >= typeHello {
		return nil, errLength
	}
	if words > 0 {
		size := 8 + 8*words
		if len(rest) < size {
			return nil, errLength
		}
		d.acks = &ackBlock{
			largest: binary.LittleEndian.Uint32(rest), delay: binary.LittleEndian.Uint16(rest[4:]), ce: binary.LittleEndian.Uint16(rest[6:]),
		}
		for i := range words {
			word := binary.LittleEndian.Uint64(rest[8+8*i:])
			for j := range 64 {
				d.acks.received = append(d.acks.received, word>>(63-j)&1 != 0)
			}
		}
		rest = rest[size:]
	}
	if d.checksum && binary.LittleEndian.Uint32(b[16:]) != sum(b) || d.kind >= typeHello && !d.checksum {
		return nil, errChecksum
	}
	if d.kind != typeData {
		d.control = rest
		return d, other
	}
	for len(rest) > 0 {
		m, size, err := decodeMessage(rest)
		if err != nil {
			return d, err
		}
		d.messages = append(d.messages, m)
		rest = rest[size:]
	}
	return d, nil
}

func decodeMessage(b []byte) (m message, size int, err error) {
	if len(b) < 16 {
		return m, 0, errLength
	}
	m = message{
		kind: b[0] & 15, code: b[1],
		session: binary.LittleEndian.Uint16(b[4:]), generation: binary.LittleEndian.Uint16(b[6:]),
		slot: binary.LittleEndian.Uint16(b[8:]), method: binary.LittleEndian.Uint16(b[10:]),
		sequence: binary.LittleEndian.Uint32(b[12:]),
	}
	length := int(binary.LittleEndian.Uint16(b[2:]))
	fragmented, timed, traced := b[0]&(1<<4) != 0, b[0]&(1<<5) != 0, b[0]&(1<<6) != 0
	switch {
	case m.kind < kindRequest || m.kind > kindStreamReset || b[0]>>7 != 0,
		(timed || traced) && m.kind != kindRequest && m.kind != kindStreamHeader,
		fragmented && m.kind > kindResponse && (m.kind < kindStreamHeader || m.kind > kindStreamEnd):
		return m, 0, errType
	}
	size = 16
	if timed {
		if len(b) < size+4 {
			return m, 0, errLength
		}
		deadline := binary.LittleEndian.Uint32(b[size:])
		m.deadline = &deadline
		size += 4
	}
	if fragmented {
		if len(b) < size+12 {
			return m, 0, errLength
		}
		f := &fragment{
			total: binary.LittleEndian.Uint32(b[size:]), index: binary.LittleEndian.Uint32(b[size+4:]),
			stride: binary.LittleEndian.Uint16(b[size+8:]),
		}
		at := uint64(f.index) * uint64(f.stride)
		if f.stride < 512 || f.total <= uint32(f.stride) || at >= uint64(f.total) ||
			uint64(length) != min(uint64(f.stride), uint64(f.total)-at) {
			return m, 0, errLength
		}
		m.fragment = f
		size += 12
	}
	if traced {
		if len(b) < size+traceSize {
			return m, 0, errLength
		}
		m.trace = append([]byte(nil), b[size:size+traceSize]...)
		size += traceSize
	}
	if len(b) < size+length {
		return m, 0, errLength
	}
	m.body = append([]byte(nil), b[size:size+length]...)
	return m, size + length, nil
}

// params is §4.2.
type params struct {
	maxDatagram                        uint32
	credits, slots, sessions, ackDelay uint16
	maxMessage, receiveWindow, silence uint32
	features                           uint32
	streams, streamWindow              uint16
}

func (p *params) encode() []byte {
	b := le32(p.maxDatagram)
	for _, v := range []uint16{p.credits, p.slots, p.sessions, p.ackDelay} {
		b = append(b, le16(v)...)
	}
	for _, v := range []uint32{p.maxMessage, p.receiveWindow, p.silence, p.features} {
		b = append(b, le32(v)...)
	}
	b = append(b, le16(p.streams)...)
	return append(b, le16(p.streamWindow)...)
}

func decodeParams(b []byte) (p params, err error) {
	p = params{
		maxDatagram: binary.LittleEndian.Uint32(b), credits: binary.LittleEndian.Uint16(b[4:]), slots: binary.LittleEndian.Uint16(b[6:]),
		sessions: binary.LittleEndian.Uint16(b[8:]), ackDelay: binary.LittleEndian.Uint16(b[10:]),
		maxMessage: binary.LittleEndian.Uint32(b[12:]), receiveWindow: binary.LittleEndian.Uint32(b[16:]),
		silence: binary.LittleEndian.Uint32(b[20:]), features: binary.LittleEndian.Uint32(b[24:]),
		streams: binary.LittleEndian.Uint16(b[28:]), streamWindow: binary.LittleEndian.Uint16(b[30:]),
	}
	if p.maxDatagram < minHello || p.credits == 0 || p.slots == 0 || p.sessions == 0 || p.silence == 0 || p.streams > 0 && p.streamWindow == 0 {
		return p, errParams
	}
	return p, nil
}

// greeting is the body of Hello, and of Accept, which has no cookie (§4.1, §4.4).
type greeting struct {
	connection, token uint32
	params            params
	cookie            [24]byte
}

func (g *greeting) encode(hello bool) []byte {
	b := append(le32(g.connection), le32(g.token)...)
	b = append(b, g.params.encode()...)
	if hello {
		b = append(b, g.cookie[:]...)
		b = append(b, make([]byte, minHello-20-len(b))...)
	}
	return b
}

func decodeGreeting(b []byte, hello bool) (g greeting, err error) {
	if len(b) < 40 || hello && len(b) < minHello-20 {
		return g, errLength
	}
	g.connection, g.token = binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if hello {
		copy(g.cookie[:], b[40:])
	}
	if g.params, err = decodeParams(b[8:]); err == nil && g.token == 0 {
		err = errParams
	}
	return g, err
}

// verdict is the body of Refuse and Close (§4.5).
func verdict(code uint8, reason string) []byte {
	return append(append([]byte{code}, le16(uint16(len(reason)))...), reason...)
}

func decodeVerdict(b []byte) (code uint8, reason string, err error) {
	if len(b) < 3 {
		return 0, "", errLength
	}
	n := int(binary.LittleEndian.Uint16(b[1:]))
	if n > 256 || len(b) < 3+n {
		return 0, "", errLength
	}
	return b[0], string(b[3 : 3+n]), nil
}

// expand is the number nearest to near with these low bits (§2.6).
func expand(low uint32, near uint64) uint64 { return near + uint64(int64(int32(low-uint32(near)))) }

// deadlineOf is how long a deadline says to wait (§3.2).
func deadlineOf(d uint32) time.Duration {
	if d>>31 != 0 {
		return time.Duration(d&^(1<<31)) * time.Millisecond
	}
	return time.Duration(d) * time.Microsecond
}

// newer compares generations (§8).
func newer16(a, b uint16) bool { return a != b && a-b < 1<<15 }

// newer compares sequences (§8).
func newer32(a, b uint32) bool { return a != b && a-b < 1<<31 }
