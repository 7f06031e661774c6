package wire

import "encoding/binary"

// Sizes in bytes of control bodies.
const (
	CookieSize = 24
	// MinHello is the least length of a Hello datagram. A server answers with
	// less, so that it cannot be used to amplify a spoofed flood; and a path
	// that carries it carries the smallest MTU the engine uses.
	MinHello   = 1200
	paramsSize = 32
	HelloSize  = 8 + paramsSize + CookieSize
	AcceptSize = 8 + paramsSize
	ResetSize  = 12
	// PathDataSize is that of the body of PathChallenge and PathResponse.
	PathDataSize = 8
	// MaxReason is the greatest length of the reason in Refuse and Close.
	MaxReason = 256
)

// Feature bits of Params.
const (
	// FeatureChecksum asks for FlagChecksum on every datagram. It is on if
	// either side asks.
	FeatureChecksum = 1 << iota
	// FeatureTLS demands that the connection is sealed after a TLS 1.3 handshake, and
	// FeaturePSK after one with a key that both have.
	FeatureTLS
	FeaturePSK
	// FeatureTrace says that this side reads FlagTrace.
	FeatureTrace
)

// Params are what one side offers or accepts in the handshake.
type Params struct {
	// MaxDatagram is the greatest datagram in bytes that this side receives.
	MaxDatagram uint32
	// Credits is how many unacknowledged Data packets this side takes from its
	// peer at a time.
	Credits uint16
	// Slots is how many requests a session may have outstanding: in Hello the
	// wish, in Accept the grant.
	Slots uint16
	// Sessions is how many sessions the connection may have open: likewise.
	Sessions uint16
	// AckDelay is how long this side delays an acknowledgement at most, in
	// microseconds.
	AckDelay uint16
	// MaxMessage is the longest message in bytes that this side receives.
	MaxMessage uint32
	// ReceiveWindow is how many unacknowledged bytes this side's receive queue
	// holds; 0 means unknown.
	ReceiveWindow uint32
	// KeepAlive is after how many milliseconds of silence this side gives its
	// peer up.
	KeepAlive uint32
	Features  uint32
	// Streams is how many streams a session may have open: in Hello the wish, in
	// Accept the grant. 0: this side takes none.
	Streams uint16
	// StreamWindow is how many units of [WindowUnit] bytes the other side may send
	// on each stream before it hears of more.
	StreamWindow uint16
}

func (p *Params) put(b []byte) {
	_ = b[paramsSize-1]
	binary.LittleEndian.PutUint32(b, p.MaxDatagram)
	binary.LittleEndian.PutUint16(b[4:], p.Credits)
	binary.LittleEndian.PutUint16(b[6:], p.Slots)
	binary.LittleEndian.PutUint16(b[8:], p.Sessions)
	binary.LittleEndian.PutUint16(b[10:], p.AckDelay)
	binary.LittleEndian.PutUint32(b[12:], p.MaxMessage)
	binary.LittleEndian.PutUint32(b[16:], p.ReceiveWindow)
	binary.LittleEndian.PutUint32(b[20:], p.KeepAlive)
	binary.LittleEndian.PutUint32(b[24:], p.Features)
	binary.LittleEndian.PutUint16(b[28:], p.Streams)
	binary.LittleEndian.PutUint16(b[30:], p.StreamWindow)
}

func (p *Params) parse(b []byte) {
	_ = b[paramsSize-1]
	p.MaxDatagram = binary.LittleEndian.Uint32(b)
	p.Credits = binary.LittleEndian.Uint16(b[4:])
	p.Slots = binary.LittleEndian.Uint16(b[6:])
	p.Sessions = binary.LittleEndian.Uint16(b[8:])
	p.AckDelay = binary.LittleEndian.Uint16(b[10:])
	p.MaxMessage = binary.LittleEndian.Uint32(b[12:])
	p.ReceiveWindow = binary.LittleEndian.Uint32(b[16:])
	p.KeepAlive = binary.LittleEndian.Uint32(b[20:])
	p.Features = binary.LittleEndian.Uint32(b[24:])
	p.Streams = binary.LittleEndian.Uint16(b[28:])
	p.StreamWindow = binary.LittleEndian.Uint16(b[30:])
}

// valid says whether a peer with these limits can be talked to at all.
func (p *Params) valid() bool {
	return p.MaxDatagram >= MinHello && p.Credits > 0 && p.Slots > 0 && p.Sessions > 0 && p.KeepAlive > 0 &&
		(p.Streams == 0 || p.StreamWindow > 0)
}

// HelloBody is the body of Hello.
type HelloBody struct {
	// Connection and Token are the client's, for the server's Header. The token is
	// not 0.
	Connection uint32
	Token      uint32
	Params     Params
	// Cookie is zero in the first Hello, then what Retry brought.
	Cookie [CookieSize]byte
}

// Put encodes h at the start of b and returns HelloSize.
func (h *HelloBody) Put(b []byte) int {
	_ = b[HelloSize-1]
	binary.LittleEndian.PutUint32(b, h.Connection)
	binary.LittleEndian.PutUint32(b[4:], h.Token)
	h.Params.put(b[8:])
	copy(b[8+paramsSize:], h.Cookie[:])
	return HelloSize
}

// Parse decodes the body of a Hello; datagram is the length of all of it.
func (h *HelloBody) Parse(b []byte, datagram int) error {
	if len(b) < HelloSize || datagram < MinHello {
		return ErrLength
	}
	h.Connection = binary.LittleEndian.Uint32(b)
	h.Token = binary.LittleEndian.Uint32(b[4:])
	h.Params.parse(b[8:])
	h.Cookie = [CookieSize]byte(b[8+paramsSize:])
	if h.Token == 0 || !h.Params.valid() {
		return ErrParams
	}
	return nil
}

// AcceptBody is the body of Accept.
type AcceptBody struct {
	// Connection and Token are the server's, for the client's Header. The token is
	// not 0.
	Connection uint32
	Token      uint32
	Params     Params
}

// Put encodes a at the start of b and returns AcceptSize.
func (a *AcceptBody) Put(b []byte) int {
	_ = b[AcceptSize-1]
	binary.LittleEndian.PutUint32(b, a.Connection)
	binary.LittleEndian.PutUint32(b[4:], a.Token)
	a.Params.put(b[8:])
	return AcceptSize
}

// Parse decodes the body of an Accept.
func (a *AcceptBody) Parse(b []byte) error {
	if len(b) < AcceptSize {
		return ErrLength
	}
	a.Connection = binary.LittleEndian.Uint32(b)
	a.Token = binary.LittleEndian.Uint32(b[4:])
	a.Params.parse(b[8:])
	if a.Token == 0 || !a.Params.valid() {
		return ErrParams
	}
	return nil
}

// ParseCookie decodes the body of a Retry.
func ParseCookie(b []byte) (cookie [CookieSize]byte, err error) {
	if len(b) < CookieSize {
		return cookie, ErrLength
	}
	return [CookieSize]byte(b), nil
}

// ParsePath decodes the body of a PathChallenge or PathResponse.
func ParsePath(b []byte) (data [PathDataSize]byte, err error) {
	if len(b) < PathDataSize {
		return data, ErrLength
	}
	return [PathDataSize]byte(b), nil
}

// ResetBody is the body of Reset: the header fields of the packet that it
// answers. Only who could read that packet knows them, which is the proof that
// a Reset needs to be believed.
type ResetBody struct {
	Connection uint32
	Token      uint32
	Number     uint32
}

// Put encodes r at the start of b and returns ResetSize.
func (r *ResetBody) Put(b []byte) int {
	_ = b[ResetSize-1]
	binary.LittleEndian.PutUint32(b, r.Connection)
	binary.LittleEndian.PutUint32(b[4:], r.Token)
	binary.LittleEndian.PutUint32(b[8:], r.Number)
	return ResetSize
}

// Parse decodes the body of a Reset.
func (r *ResetBody) Parse(b []byte) error {
	if len(b) < ResetSize {
		return ErrLength
	}
	r.Connection = binary.LittleEndian.Uint32(b)
	r.Token = binary.LittleEndian.Uint32(b[4:])
	r.Number = binary.LittleEndian.Uint32(b[8:])
	return nil
}

// PutReason encodes the body of Refuse and Close, a status code and a sentence
// cut to MaxReason bytes, and returns its size.
func PutReason(b []byte, code uint8, reason string) int {
	reason = Sendable(reason, MaxReason)
	b[0] = code
	binary.LittleEndian.PutUint16(b[1:], uint16(len(reason)))
	return 3 + copy(b[3:], reason)
}

// ParseReason decodes the body of Refuse and Close. reason is a view of b.
func ParseReason(b []byte) (code uint8, reason []byte, err error) {
	if len(b) < 3 {
		return 0, nil, ErrLength
	}
	n := int(binary.LittleEndian.Uint16(b[1:]))
	if n > MaxReason || len(b)-3 < n {
		return 0, nil, ErrLength
	}
	return b[0], b[3 : 3+n], nil
}
