package conform

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/wiredoc"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Line carries datagrams between the peer and who is tested. One goroutine uses it.
type Line interface {
	Send(data []byte) error
	// Receive returns the next datagram, or nil if none comes within a time.
	Receive(within time.Duration) ([]byte, error)
	Now() time.Duration
	Close() error
}

// Patience is how long a reaction may take on a host that is not busy with something else.
const Patience = 5 * time.Second

const (
	// pause is how long a reaction that must not come is awaited behind one that has.
	pause = 20 * time.Millisecond
	// again is after how long a Hello is repeated.
	again = 500 * time.Millisecond
	// window is what may be sent to the peer on a stream at first, in KiB.
	window = 1
	// span is how many packet numbers are told apart.
	span = 448
)

// peer is the other side of who is tested: it checks every datagram against what the document says of all, and keeps what
// came for the steps to look at.
type peer struct {
	dial     func() (Line, error)
	line     Line
	other    Line // from another port
	patience time.Duration
	serving  bool     // who is tested is the client
	sealing  *Sealing // nil: connections are plain

	side
	beside   *side // of the other connection from the same port; nil: there is none
	checksum bool
	streams  bool
	lose     int
	mute     bool

	events  []event
	mark    int   // events before the last datagram was sent
	request event // the last
	closed  key   // of the session that was closed last
	barrier uint32
}

// side is one side of one connection.
type side struct {
	index, token           uint32 // ours, that they put in headers
	theirIndex, theirToken uint32
	connected              bool
	theirStreams           uint16 // that they grant
	theirSessions          uint16
	theirKeepAlive         uint32 // in ms
	limit                  uint32 // before which they may begin messages of a stream
	cookie                 [wire.CookieSize]byte
	said                   map[names]bool // in headers of Data and Ack
	last                   map[string][]byte
	exchange               *exchange
	keys                   *keys  // nil: it is not sealed, or not yet
	sent                   []byte // the last datagram
	numbers
}

// numbers are those of packets, and what they brought.
type numbers struct {
	next    uint64            // packet number
	base    uint64            // below the first of the conversation
	acked   map[uint64]bool   // ours
	got     map[uint64][]byte // theirs
	largest uint64
	parts   map[key]*parts
}

// names is what a header calls a connection.
type names struct{ index, token uint32 }

// key names a request or response.
type key struct {
	kind                      wire.Kind
	session, generation, slot uint16
	use                       uint16 // of a stream's index
	sequence                  uint32
}

// parts is a message that arrives in fragments.
type parts struct {
	total, stride, missing uint32
	pieces                 map[uint32]bool
	body                   []byte
	code                   uint8
	whole                  bool
}

// event is something that they did.
type event struct {
	kind   string
	line   string
	used   bool
	key    key
	method uint16
	code   uint8
	number uint64
	body   []byte
	data   []byte
}

func newPeer(line Line, dial func() (Line, error), patience time.Duration) *peer {
	return &peer{dial: dial, line: line, patience: patience, side: newSide()}
}

func newSide() side {
	var secret [8]byte
	rand.Read(secret[:])
	return side{
		index: binary.LittleEndian.Uint32(secret[:]) & 0xFFFF, token: binary.LittleEndian.Uint32(secret[4:]) | 1,
		limit: window * wire.WindowUnit,
		said:  map[names]bool{}, last: map[string][]byte{}, numbers: newNumbers(),
	}
}

func newNumbers() numbers {
	return numbers{next: 1, acked: map[uint64]bool{}, got: map[uint64][]byte{}, parts: map[key]*parts{}}
}

// turn goes on with the other connection.
func (p *peer) turn() { p.side, *p.beside = *p.beside, p.side }

func (p *peer) params() wire.Params {
	w := wire.Params{
		MaxDatagram: wire.MinHello, Credits: 256, Slots: 4, Sessions: 100, AckDelay: 500, MaxMessage: 1 << 20, KeepAlive: 60_000,
	}
	if p.checksum {
		w.Features = wire.FeatureChecksum
	}
	if p.sealing != nil {
		w.Features |= p.sealing.Feature()
	}
	if p.streams {
		w.Streams, w.StreamWindow = 4, window
	}
	return w
}

// look takes in what comes within a time, until done is true of it.
func (p *peer) look(within time.Duration, done func() bool) (bool, error) {
	until := p.line.Now() + within
	for !done() {
		left := until - p.line.Now()
		if left <= 0 {
			return false, nil
		}
		wait := left
		if p.other != nil { // by turns
			wait = min(left, time.Millisecond)
			if err := p.receive(p.other, "other", 0); err != nil {
				return false, err
			}
		}
		if err := p.receive(p.line, "", wait); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (p *peer) receive(line Line, name string, within time.Duration) error {
	data, err := line.Receive(within)
	if err != nil || data == nil {
		return err
	}
	return p.take(name, bytes.Clone(data))
}

// take takes in a datagram, and checks what holds of every one.
func (p *peer) take(line string, data []byte) error {
	var h wire.Header
	rest, err := h.Parse(data)
	if err != nil {
		return fmt.Errorf("sends what does not decode: %w", err)
	}
	name := typeNames[h.Type]
	if b := p.beside; b != nil && h.Connection == b.index && h.Token == b.token {
		p.turn()
		defer p.turn()
	}
	if h.Type >= wire.Crypto {
		return p.crypto(&h, rest, data)
	}
	if p.serving && !p.connected && h.Type <= wire.Ack {
		if x := p.exchange; x != nil && h.Connection == p.index && h.Token == p.token {
			x.held = append(x.held, data)
			return nil
		}
		return p.forgot(&h) // of the conversation before
	}
	if len(data) > wire.MinHello && h.Type != wire.Hello {
		return fmt.Errorf("sends a %s of %d bytes to who takes %d (§4.2)", name, len(data), wire.MinHello)
	}
	sealed := h.Flags&wire.FlagSealed != 0
	if sealed != p.protects(h.Type) {
		return fmt.Errorf("sends a %s that is sealed: %v (§11.2)", name, sealed)
	}
	if sealed {
		if rest, err = p.keys.open(&h, data, p.largest+1); err != nil {
			return err
		}
		if h.Acks.Words > 0 {
			size := h.Acks.Parse(h.Acks.Words, rest)
			if size == 0 {
				return fmt.Errorf("sends a %s that ends amid its acknowledgements (§2.1)", name)
			}
			rest = rest[size:]
		}
	}
	if h.Flags&wire.FlagChecksum != 0 && wire.Verify(data) != nil {
		return fmt.Errorf("sends a %s with a wrong checksum (§2.4)", name)
	}
	if !sealed && h.Flags&wire.FlagChecksum == 0 && (h.Type > wire.Ack || p.checksum) {
		return fmt.Errorf("sends a %s without a checksum (§2.4)", name)
	}
	if h.Type > wire.Ack {
		return p.control(line, name, &h, rest, data)
	}
	if h.Connection != p.index || h.Token != p.token {
		return fmt.Errorf("puts connection %d and token %#x in a %s: it was given %d and %#x (§2.1)", h.Connection, h.Token, name, p.index, p.token)
	}
	if h.Type == wire.Ack && !sealed && h.Number != 0 {
		return fmt.Errorf("numbers an Ack %d (§2.1)", h.Number)
	}
	if h.Type == wire.Data {
		if p.lose > 0 {
			p.lose--
			return nil
		}
		if !p.serving && p.connected && p.next == 1 {
			return fmt.Errorf("sends Data before it has received some (§5)")
		}
	}
	if h.Acks.Words > 0 {
		if err := p.acks(&h.Acks); err != nil {
			return err
		}
	}
	if h.Type == wire.Data {
		return p.data(&h, rest, data)
	}
	return nil
}

// forgot answers for a server that knows nothing of a connection.
func (p *peer) forgot(h *wire.Header) error {
	reset := wire.ResetBody{Connection: h.Connection, Token: h.Token, Number: h.Number}
	answer := wire.Header{Type: wire.Reset, Flags: wire.FlagChecksum}
	data := make([]byte, answer.Size()+wire.ResetSize)
	reset.Put(data[answer.Put(data):])
	wire.Seal(data, nil)
	return p.line.Send(data)
}

func (p *peer) acks(a *wire.AckBlock) error {
	largest := expand(a.Largest, p.next)
	if largest >= p.next || largest == 0 {
		return fmt.Errorf("acknowledges packet %d, which was not sent (§2.6)", largest)
	}
	if a.Bitmap[0]>>63 == 0 {
		return fmt.Errorf("acknowledges up to %d without that one (§2.5)", largest)
	}
	for i := range uint64(a.Words) * 64 {
		if a.Bitmap[i/64]>>(63-i%64)&1 == 0 {
			continue
		}
		if i >= largest {
			return fmt.Errorf("acknowledges packets below 1 (§2.5)")
		}
		if number := largest - i; !p.acked[number] {
			p.acked[number] = true
			p.happened(event{kind: "acknowledged", number: number})
		}
	}
	return nil
}

func (p *peer) data(h *wire.Header, rest, data []byte) error {
	number := expand(h.Number, p.largest+1)
	if former, again := p.got[number]; again {
		if bytes.Equal(former, data) {
			return nil // the network's doing
		}
		return fmt.Errorf("uses the packet number %d twice (§2.6)", number)
	}
	if number == 0 {
		return fmt.Errorf("sends packet 0 (§2.6)")
	}
	p.got[number] = data
	p.largest = max(p.largest, number)
	p.happened(event{kind: "data", number: number})
	var m wire.Message
	var err error
	for len(rest) > 0 {
		if rest, err = m.Parse(rest); err != nil {
			return fmt.Errorf("sends a message that does not decode: %w (§3)", err)
		}
		if err := p.message(&m); err != nil {
			return err
		}
	}
	if !p.mute {
		return p.acknowledge()
	}
	return nil
}

func (p *peer) message(m *wire.Message) error {
	theirs := m.Kind == wire.Response
	if p.serving {
		theirs = m.Kind == wire.Request || m.Kind == wire.Cancel
	}
	theirs = theirs || p.streams && m.Kind >= wire.StreamHeader
	if !theirs && m.Kind != wire.CloseSession && m.Kind != wire.Ping {
		return fmt.Errorf("sends a %s, which is the other side's (§3.1)", kindNames[m.Kind])
	}
	if m.Kind == wire.Ping {
		return nil
	}
	e := event{kind: kindNames[m.Kind], method: m.Method, code: m.Code, body: bytes.Clone(m.Body)}
	e.key = key{kind: m.Kind, session: m.Session, generation: m.Generation, slot: m.Slot, sequence: m.Sequence}
	if m.Kind >= wire.StreamHeader {
		e.key.use = m.Method
	}
	if at := m.Sequence + m.Index*uint32(m.Stride); (m.Kind == wire.StreamData || m.Kind == wire.StreamEnd) && int32(at-p.limit) >= 0 {
		return fmt.Errorf("sends what begins at place %d of a stream, and may before %d (§8.1)", at, p.limit)
	}
	if m.Kind == wire.Response {
		if status := m.Code &^ wire.NotExecuted; status > 16 || status == 0 && m.Code != 0 {
			return fmt.Errorf("answers with code %d (§3.4)", m.Code)
		}
		if m.Code&^wire.NotExecuted != 0 && !printable(m.Body) {
			return fmt.Errorf("says in other than UTF-8 what went wrong (§1)")
		}
	}
	if m.Kind == wire.Request && m.Sequence == 0 {
		return fmt.Errorf("numbers a request 0 (§8)")
	}
	switch m.Kind {
	case wire.Cancel, wire.CloseSession, wire.StreamWindow, wire.StreamReset:
		p.happened(e)
		return nil
	}
	f := p.parts[e.key]
	if f == nil {
		f = &parts{total: m.Total, pieces: map[uint32]bool{}}
		p.parts[e.key] = f
	}
	if f.whole && f.code == m.Code {
		return nil // sent again, since an acknowledgement was lost or late
	}
	f.code = m.Code
	if m.Flags&wire.FlagFragment != 0 {
		if m.Total != f.total {
			return fmt.Errorf("sends fragments of one message with totals %d and %d (§3.3)", f.total, m.Total)
		}
		if f.stride == 0 || uint32(m.Stride) < f.stride {
			f.stride, f.body, f.pieces = uint32(m.Stride), make([]byte, m.Total), map[uint32]bool{}
			f.missing = (f.total + f.stride - 1) / f.stride
		}
		if uint32(m.Stride) == f.stride && !f.pieces[m.Index] {
			f.pieces[m.Index] = true
			f.missing--
			copy(f.body[m.Index*f.stride:], m.Body)
		}
		if f.missing > 0 {
			return nil
		}
		e.body = f.body
	}
	f.whole = true
	if m.Kind == wire.Request {
		p.request = e
	}
	p.happened(e)
	return nil
}

// control takes in a datagram of the handshake, or about an address or an end.
func (p *peer) control(line, name string, h *wire.Header, rest, data []byte) error {
	e := event{kind: name, line: line, data: data}
	named := h.Connection == p.index && h.Token == p.token
	switch h.Type {
	case wire.Hello, wire.Reset:
		named = h.Connection == 0 && h.Token == 0
	}
	if !named {
		return fmt.Errorf("puts connection %d and token %#x in a %s (§4)", h.Connection, h.Token, name)
	}
	if h.Number != 0 && h.Flags&wire.FlagSealed == 0 {
		return fmt.Errorf("numbers a %s (§2.1)", name)
	}
	fromServer := h.Type == wire.Retry || h.Type == wire.Accept || h.Type == wire.Refuse || h.Type == wire.PathChallenge
	if fromServer == p.serving && h.Type != wire.Reset && h.Type != wire.Close {
		return fmt.Errorf("sends a %s, which is the other side's (§2.2)", name)
	}
	var err error
	switch h.Type {
	case wire.Hello:
		var hello wire.HelloBody
		if err = hello.Parse(rest, len(data)); err == nil && hello.Token == 0 {
			err = fmt.Errorf("its token is 0")
		}
		if hello.Cookie != [wire.CookieSize]byte{} {
			e.code = 1
		}
		if !p.connected || hello.Token != p.theirToken {
			p.theirIndex, p.theirToken = hello.Connection, hello.Token
			p.checksum = p.checksum || p.sealing == nil && hello.Params.Features&wire.FeatureChecksum != 0
		}
		e.body = hello.Cookie[:]
		if err == nil && p.exchange != nil && !p.connected && bytes.Equal(e.body, p.cookie[:]) {
			return p.greeted(data)
		}
	case wire.Retry:
		p.cookie, err = wire.ParseCookie(rest)
		if p.cookie == [wire.CookieSize]byte{} {
			err = fmt.Errorf("its cookie is all zeros")
		}
		e.body = p.cookie[:]
	case wire.Accept:
		var accept wire.AcceptBody
		if err = accept.Parse(rest); err == nil && accept.Token == 0 {
			err = fmt.Errorf("its token is 0")
		}
		if !p.connected {
			p.connected = true
			p.theirIndex, p.theirToken = accept.Connection, accept.Token
			p.theirStreams, p.theirSessions, p.theirKeepAlive = accept.Params.Streams, accept.Params.Sessions, accept.Params.KeepAlive
			p.checksum = p.checksum || accept.Params.Features&wire.FeatureChecksum != 0
		}
	case wire.Refuse, wire.Close:
		e.code, e.body, err = wire.ParseReason(rest)
		if err == nil && (e.code == 0 || e.code > 16) {
			err = fmt.Errorf("its code is %d", e.code)
		}
	case wire.Reset:
		var reset wire.ResetBody
		if err = reset.Parse(rest); err == nil && !p.said[names{reset.Connection, reset.Token}] {
			err = fmt.Errorf("it copies no header that was sent")
		}
	case wire.PathChallenge, wire.PathResponse:
		_, err = wire.ParsePath(rest)
		e.body = rest[:min(len(rest), 8)]
	}
	if err != nil {
		return fmt.Errorf("sends a wrong %s: %w (§4)", name, err)
	}
	p.happened(e)
	return nil
}

func (p *peer) happened(e event) { p.events = append(p.events, e) }

// acknowledge says what was received.
func (p *peer) acknowledge() error {
	if p.largest == 0 {
		return nil
	}
	a := wire.AckBlock{Largest: uint32(p.largest)}
	for i := range min(p.largest, span) {
		a.Words = uint8(i/64 + 1)
		if p.got[p.largest-i] != nil {
			a.Bitmap[i/64] |= 1 << (63 - i%64)
		}
	}
	h := wire.Header{Type: wire.Ack, Connection: p.theirIndex, Token: p.theirToken, Acks: a}
	if p.keys != nil {
		return p.line.Send(p.keys.seal(&h, nil))
	}
	if p.checksum {
		h.Flags = wire.FlagChecksum
	}
	data := make([]byte, h.Size())
	h.Put(data)
	if p.checksum {
		wire.Seal(data, nil)
	}
	return p.line.Send(data)
}

// expand is §2.6.
func expand(low uint32, near uint64) uint64 { return near + uint64(int64(int32(low-uint32(near)))) }

func printable(text []byte) bool { return wire.Printable(string(text)) == string(text) }

// find returns the first event from one on that is what is wanted and was not expected before.
func (p *peer) find(want *Event, from int) *event {
	for i := from; i < len(p.events); i++ {
		if e := &p.events[i]; !e.used && want.is(e, p.base) && (!want.Renewed || p.renewed(e.key)) {
			return e
		}
	}
	return nil
}

// renewed says whether a session is another than the one that was closed, or newer.
func (p *peer) renewed(k key) bool {
	return k.session != p.closed.session || int16(k.generation-p.closed.generation) > 0
}

// is says whether it is what is wanted, of a conversation whose packets are numbered from base on.
func (want *Event) is(e *event, base uint64) bool {
	switch {
	case want.Type != e.kind || want.Line != e.line,
		want.Code != nil && *want.Code != e.code&^wire.NotExecuted,
		want.Executed != nil && *want.Executed == (e.code&wire.NotExecuted != 0),
		want.Session != nil && *want.Session != e.key.session,
		want.Slot != nil && *want.Slot != e.key.slot,
		want.Sequence != nil && *want.Sequence != e.key.sequence,
		want.Number != nil && *want.Number+base != e.number:
		return false
	}
	if want.Body == "" {
		return true
	}
	body, err := wiredoc.ParseHex(want.Body)
	return err == nil && slices.Equal(body, e.body)
}
