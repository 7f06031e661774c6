package wire

import "encoding/binary"

// Kind says what a message is.
type Kind uint8

// Message kinds.
const (
	// Request carries a request or a fragment of one.
	Request Kind = iota + 1
	// Response carries a response or a fragment of one.
	Response
	// Cancel says that the client no longer waits for a request.
	Cancel
	// CloseSession ends a session; the server forgets its slots.
	CloseSession
	// Ping asks for nothing but the acknowledgement of its datagram. Its body,
	// of any bytes, is ignored: it pads datagrams that probe the path's MTU.
	Ping
	// The messages of streams: stream.go.
	StreamHeader
	StreamData
	StreamEnd
	StreamWindow
	StreamReset
	numKinds
)

// Message flags.
const (
	// FlagFragment says that Total, Index and Stride follow, after the time
	// limit if there is one (Request, Response, StreamHeader, StreamData and
	// StreamEnd only).
	FlagFragment = 1 << 4
	// FlagDeadline says that a time limit follows the message header (Request and
	// StreamHeader only).
	FlagDeadline = 1 << 5
	// FlagTrace says that a Trace follows, after all else that flags add (Request and
	// StreamHeader only, and only to who has FeatureTrace).
	FlagTrace = 1 << 6

	kindMask = 0xF
)

// The kinds that may have each flag, as bits.
const (
	fragmented = 1<<Request | 1<<Response | 1<<StreamHeader | 1<<StreamData | 1<<StreamEnd
	opening    = 1<<Request | 1<<StreamHeader // FlagDeadline, FlagTrace
)

// Sizes in bytes.
const (
	// MessageHeaderSize is that of a MessageHeader without what its flags add.
	MessageHeaderSize = 16
	DeadlineSize      = 4
	FragmentSize      = 12
	// MinFragment is the smallest size of a fragment that is not its message's
	// last. It bounds the bookkeeping that a peer can ask for.
	MinFragment = 512
)

// NotExecuted is set in the Code of a Response that the engine gave in its
// handler's place: the handler never ran, so calling again is safe.
const NotExecuted = 0x80

// Message is one message of a Data datagram, or one fragment of it.
type Message struct {
	MessageHeader
	Body []byte
}

// MessageHeader is what comes before a message's body.
type MessageHeader struct {
	Kind  Kind
	Flags uint8
	Code  uint8 // Response, StreamEnd, StreamReset: status, in gRPC's canonical numbers; NotExecuted
	// Session and Generation name the session, Slot the request slot in it. In
	// streams' messages Slot, Method and Sequence have other meanings: stream.go.
	Session    uint16
	Generation uint16
	Slot       uint16
	Method     uint16 // Request
	// Sequence counts the requests of a slot; a response has its request's.
	Sequence uint32
	// Deadline is the time left to answer (FlagDeadline), as of [EncodeTimeout].
	Deadline uint32
	// With FlagFragment: the message is Total bytes, cut in pieces of Stride
	// bytes of which this is number Index.
	Total  uint32
	Index  uint32
	Stride uint16
	// Trace, with FlagTrace, is of what the call is part of.
	Trace Trace
}

// HeaderSize is the length in bytes of m.
func (m *MessageHeader) HeaderSize() int {
	n := MessageHeaderSize
	if m.Flags&FlagDeadline != 0 {
		n += DeadlineSize
	}
	if m.Flags&FlagFragment != 0 {
		n += FragmentSize
	}
	if m.Flags&FlagTrace != 0 {
		n += TraceSize
	}
	return n
}

// Put encodes m at the start of b, for a body of length bytes, and returns its
// size. The body is the caller's to place behind it.
func (m *MessageHeader) Put(b []byte, length int) int {
	m.Lead().Put(b, length)
	if m.Flags == 0 {
		return MessageHeaderSize
	}
	return m.putOptions(b)
}

func (m *MessageHeader) putOptions(b []byte) int {
	n := MessageHeaderSize
	if m.Flags&FlagDeadline != 0 {
		binary.LittleEndian.PutUint32(b[n:], m.Deadline)
		n += DeadlineSize
	}
	if m.Flags&FlagFragment != 0 {
		f := b[n : n+FragmentSize]
		binary.LittleEndian.PutUint32(f, m.Total)
		binary.LittleEndian.PutUint32(f[4:], m.Index)
		binary.LittleEndian.PutUint16(f[8:], m.Stride)
		binary.LittleEndian.PutUint16(f[10:], 0)
		n += FragmentSize
	}
	if m.Flags&FlagTrace != 0 {
		m.Trace.put(b[n:])
		n += TraceSize
	}
	return n
}

// ParseApart is Parse of one fragment whose header is all of head, and whose body is
// elsewhere: all of body, of which m.Body is a view. False: they are not that.
func (m *Message) ParseApart(head, body []byte) bool {
	if len(head) < MessageHeaderSize {
		return false
	}
	l, end, _ := ParseMessage(head)
	m.set(l)
	if m.Flags&FlagFragment == 0 || end-MessageHeaderSize != len(body) {
		return false
	}
	n, err := m.parseOptions(head, len(body))
	m.Body = body
	return err == nil && n == len(head)
}

func (m *Message) set(l MessageLead) {
	m.Kind, m.Flags, m.Code = l.Kind(), l.flags(), l.Code()
	m.Session, m.Generation, m.Slot, m.Method, m.Sequence = l.Session(), l.Generation(), l.Slot(), l.Method(), l.Sequence()
}

// Parse decodes the message at the start of b and returns what follows it.
// m.Body is a view of b. A fragment is checked to lie within its message and
// to have the length that its place demands. Fields whose flag is not set are
// left as they were.
func (m *Message) Parse(b []byte) (rest []byte, err error) {
	if len(b) < MessageHeaderSize {
		return nil, ErrLength
	}
	l, end, ok := ParseMessage(b)
	m.set(l)
	if ok {
		m.Body = b[MessageHeaderSize:end:end]
		return b[end:], nil
	}
	n, err := m.parseOptions(b, end-MessageHeaderSize)
	if err != nil {
		return nil, err
	}
	end += n - MessageHeaderSize
	if end > len(b) {
		return nil, ErrLength
	}
	m.Body = b[n:end:end]
	return b[end:], nil
}

// parseOptions checks what is rare, and decodes what the flags add. n is the size of
// the header.
func (m *Message) parseOptions(b []byte, length int) (n int, err error) {
	if m.Kind == 0 || m.Kind >= numKinds || m.Flags&^(FlagFragment|FlagDeadline|FlagTrace) != 0 {
		return 0, ErrType
	}
	if m.Flags == 0 {
		return MessageHeaderSize, nil
	}
	if m.Flags&FlagFragment != 0 && fragmented>>m.Kind&1 == 0 || m.Flags&(FlagDeadline|FlagTrace) != 0 && opening>>m.Kind&1 == 0 {
		return 0, ErrType
	}
	n = MessageHeaderSize
	if len(b) < m.HeaderSize() {
		return 0, ErrLength
	}
	if m.Flags&FlagDeadline != 0 {
		m.Deadline = binary.LittleEndian.Uint32(b[n:])
		n += DeadlineSize
	}
	if m.Flags&FlagFragment != 0 {
		m.Total = binary.LittleEndian.Uint32(b[n:])
		m.Index = binary.LittleEndian.Uint32(b[n+4:])
		m.Stride = binary.LittleEndian.Uint16(b[n+8:])
		n += FragmentSize
		offset := uint64(m.Index) * uint64(m.Stride)
		if m.Stride < MinFragment || m.Total <= uint32(m.Stride) || offset >= uint64(m.Total) {
			return 0, ErrLength
		}
		if uint64(length) != min(uint64(m.Stride), uint64(m.Total)-offset) {
			return 0, ErrLength
		}
	}
	if m.Flags&FlagTrace != 0 {
		m.Trace.parse(b[n:])
		n += TraceSize
	}
	return n, nil
}
