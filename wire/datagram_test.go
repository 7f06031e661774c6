package wire_test

import (
	"slices"

	"github.com/peregrine-rpc/peregrine/wire"
)

// datagram is all that a datagram says, as the JSON of docs/wire.md has it.
type datagram struct {
	Type       string         `json:"type"`
	Flags      []string       `json:"flags"`
	Connection uint32         `json:"connection"`
	Token      hexNumber      `json:"token"`
	Number     uint32         `json:"number"`
	Acks       *acks          `json:"acks"`
	Messages   []message      `json:"messages"`
	Hello      *greeting      `json:"hello"`
	Retry      hexBytes       `json:"retry"`
	Accept     *greeting      `json:"accept"`
	Refuse     *reason        `json:"refuse"`
	Reset      *unknownPacket `json:"reset"`
	Path       hexBytes       `json:"path"`
	Close      *reason        `json:"close"`
	Crypto     *crypto        `json:"crypto"`
	Words      uint8          `json:"words"` // of acknowledgements that are sealed
	Sealed     hexBytes       `json:"sealed"`
	Padding    int            `json:"padding"`
}

type acks struct {
	Largest uint32      `json:"largest"`
	Delay   uint16      `json:"delay"`
	CE      uint16      `json:"ce"`
	Arrival *uint32     `json:"arrival"`
	Bitmap  []hexNumber `json:"bitmap"`
}

type message struct {
	Kind       string   `json:"kind"`
	Options    []string `json:"options"`
	Code       uint8    `json:"code"`
	Session    uint16   `json:"session"`
	Generation uint16   `json:"generation"`
	Slot       uint16   `json:"slot"`
	Method     uint16   `json:"method"`
	Sequence   uint32   `json:"sequence"`
	Deadline   uint32   `json:"deadline"`
	Total      uint32   `json:"total"`
	Index      uint32   `json:"index"`
	Stride     uint16   `json:"stride"`
	Trace      string   `json:"trace"` // as a traceparent
	Body       hexBytes `json:"body"`
}

type params struct {
	MaxDatagram   uint32 `json:"max_datagram"`
	Credits       uint16 `json:"credits"`
	Slots         uint16 `json:"slots"`
	Sessions      uint16 `json:"sessions"`
	AckDelay      uint16 `json:"ack_delay"`
	MaxMessage    uint32 `json:"max_message"`
	ReceiveWindow uint32 `json:"receive_window"`
	KeepAlive     uint32 `json:"keep_alive"`
	Features      uint32 `json:"features"`
	Streams       uint16 `json:"streams"`
	StreamWindow  uint16 `json:"stream_window"`
}

// greeting is a Hello, or an Accept, which has no cookie.
type greeting struct {
	Connection uint32    `json:"connection"`
	Token      hexNumber `json:"token"`
	Params     params    `json:"params"`
	Cookie     hexBytes  `json:"cookie"`
}

// crypto is a Crypto or PostCrypto that is not sealed, or was opened.
type crypto struct {
	Connection uint32    `json:"connection"`
	Token      hexNumber `json:"token"`
	Have       hexNumber `json:"have"`
	Number     uint8     `json:"number"`
	Ends       bool      `json:"ends"`
	Failed     bool      `json:"failed"`
	Data       hexBytes  `json:"data"`
}

type reason struct {
	Code   uint8  `json:"code"`
	Reason string `json:"reason"`
}

type unknownPacket struct {
	Connection uint32    `json:"connection"`
	Token      hexNumber `json:"token"`
	Number     uint32    `json:"number"`
}

// Names by number, or by bit.
var (
	typeNames = []string{"data", "ack", "hello", "retry", "accept", "refuse", "reset", "close", "path_challenge", "path_response",
		"crypto", "post_crypto"}
	flagNames = []string{"checksum", "ack_now", "sealed", "phase"}
	kindNames = []string{"", "request", "response", "cancel", "close_session", "ping",
		"stream_header", "stream_data", "stream_end", "stream_window", "stream_reset"}
	optionNames = []string{4: "fragment", 5: "deadline", 6: "trace"}
)

func bitsOf(set uint8, names []string) (list []string) {
	for i, name := range names {
		if set&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

func setOf(list, names []string) (set uint8) {
	for _, name := range list {
		set |= 1 << slices.Index(names, name)
	}
	return set
}

// decode reads a whole datagram, as an endpoint does. With wire.ErrVersion, it
// still returns what can be read in every version.
func decode(b []byte) (*datagram, error) {
	var h wire.Header
	rest, version := h.Parse(b)
	if rest == nil {
		return nil, version
	}
	switch control := h.Type >= wire.Hello && h.Flags&wire.FlagSealed == 0; {
	case h.Flags&wire.FlagChecksum != 0:
		if err := wire.Verify(b); err != nil {
			return nil, err
		}
	case control:
		return nil, wire.ErrChecksum
	}
	d := &datagram{
		Type: typeNames[h.Type], Flags: bitsOf(h.Flags, flagNames),
		Connection: h.Connection, Token: hexNumber(h.Token), Number: h.Number,
	}
	if h.Acks.Words > 0 && h.Flags&wire.FlagSealed == 0 {
		d.Acks = &acks{Largest: h.Acks.Largest, Delay: h.Acks.Delay, CE: h.Acks.CE}
		for _, word := range h.Acks.Bitmap[:h.Acks.Words] {
			d.Acks.Bitmap = append(d.Acks.Bitmap, hexNumber(word))
		}
	}
	if at, told := wire.Arrival(rest); told && h.Type == wire.Ack && d.Acks != nil {
		d.Acks.Arrival = &at
		rest = rest[wire.ArrivalSize:]
	}
	var err error
	if h.Flags&wire.FlagSealed != 0 {
		d.Words, d.Sealed = h.Acks.Words, append(hexBytes(nil), rest...)
		return d, version
	}
	if h.Type == wire.Data {
		err = d.decodeMessages(rest)
	} else {
		err = d.decodeControl(h.Type, rest, len(b))
	}
	if err != nil {
		return nil, err
	}
	return d, version
}

func (d *datagram) decodeMessages(rest []byte) (err error) {
	for len(rest) > 0 {
		var m wire.Message
		if rest, err = m.Parse(rest); err != nil {
			return err
		}
		trace := ""
		if m.Flags&wire.FlagTrace != 0 {
			trace = m.Trace.String()
		}
		d.Messages = append(d.Messages, message{
			Kind: kindNames[m.Kind], Options: bitsOf(m.Flags, optionNames), Code: m.Code,
			Session: m.Session, Generation: m.Generation, Slot: m.Slot, Method: m.Method, Sequence: m.Sequence,
			Deadline: m.Deadline, Total: m.Total, Index: m.Index, Stride: m.Stride, Trace: trace, Body: append(hexBytes(nil), m.Body...),
		})
	}
	return nil
}

// forgetIgnored leaves out what a receiver does not look at: what a type or kind does not use, and what follows a body.
func (d *datagram) forgetIgnored() {
	d.Padding = 0
	if d.Type != "data" {
		d.Number = 0
	}
	for i := range d.Messages {
		m := &d.Messages[i]
		switch m.Kind {
		case "response", "stream_end", "stream_reset":
		default:
			m.Code = 0
		}
		switch m.Kind {
		case "response", "cancel":
			m.Method = 0
		case "close_session":
			m.Slot, m.Method, m.Sequence = 0, 0, 0
		case "ping":
			*m = message{Kind: m.Kind, Body: m.Body}
		case "stream_reset":
			m.Sequence = 0
		}
	}
}

func (d *datagram) decodeControl(t wire.Type, rest []byte, length int) error {
	size := 0
	switch t {
	case wire.Hello:
		var body wire.HelloBody
		if err := body.Parse(rest, length); err != nil {
			return err
		}
		d.Hello = &greeting{Connection: body.Connection, Token: hexNumber(body.Token), Params: paramsOf(&body.Params)}
		if body.Cookie != [wire.CookieSize]byte{} {
			d.Hello.Cookie = body.Cookie[:]
		}
		size = wire.HelloSize
	case wire.Retry:
		cookie, err := wire.ParseCookie(rest)
		if err != nil {
			return err
		}
		d.Retry = cookie[:]
		size = wire.CookieSize
	case wire.Accept:
		var body wire.AcceptBody
		if err := body.Parse(rest); err != nil {
			return err
		}
		d.Accept = &greeting{Connection: body.Connection, Token: hexNumber(body.Token), Params: paramsOf(&body.Params)}
		size = wire.AcceptSize
	case wire.Refuse, wire.Close:
		code, text, err := wire.ParseReason(rest)
		if err != nil {
			return err
		}
		r := &reason{code, string(text)}
		if t == wire.Refuse {
			d.Refuse = r
		} else {
			d.Close = r
		}
		size = 3 + len(text)
	case wire.Reset:
		var body wire.ResetBody
		if err := body.Parse(rest); err != nil {
			return err
		}
		d.Reset = &unknownPacket{body.Connection, hexNumber(body.Token), body.Number}
		size = wire.ResetSize
	case wire.PathChallenge, wire.PathResponse:
		data, err := wire.ParsePath(rest)
		if err != nil {
			return err
		}
		d.Path = data[:]
		size = wire.PathDataSize
	case wire.Crypto, wire.PostCrypto:
		var body wire.CryptoBody
		if err := body.Parse(rest); err != nil {
			return err
		}
		d.Crypto = &crypto{body.Connection, hexNumber(body.Token), hexNumber(body.Have), body.Number, body.Ends, body.Failed, body.Data}
		size = body.Put(make([]byte, wire.MaxCrypto))
	}
	d.Padding = len(rest) - size
	return nil
}

func paramsOf(p *wire.Params) params {
	return params{
		p.MaxDatagram, p.Credits, p.Slots, p.Sessions, p.AckDelay, p.MaxMessage, p.ReceiveWindow, p.KeepAlive, p.Features,
		p.Streams, p.StreamWindow,
	}
}

func (p params) wire() wire.Params {
	return wire.Params{
		MaxDatagram: p.MaxDatagram, Credits: p.Credits, Slots: p.Slots, Sessions: p.Sessions, AckDelay: p.AckDelay,
		MaxMessage: p.MaxMessage, ReceiveWindow: p.ReceiveWindow, KeepAlive: p.KeepAlive, Features: p.Features,
		Streams: p.Streams, StreamWindow: p.StreamWindow,
	}
}

// encode is the reverse of decode.
func (d *datagram) encode() []byte {
	h := wire.Header{
		Type: wire.Type(slices.Index(typeNames, d.Type)), Flags: setOf(d.Flags, flagNames),
		Connection: d.Connection, Token: uint32(d.Token), Number: d.Number,
	}
	if a := d.Acks; a != nil {
		h.Acks = wire.AckBlock{Words: uint8(len(a.Bitmap)), Largest: a.Largest, Delay: a.Delay, CE: a.CE}
		for i, word := range a.Bitmap {
			h.Acks.Bitmap[i] = uint64(word)
		}
	}
	if d.Words > 0 {
		h.Acks.Words = d.Words
	}
	b := make([]byte, 1<<16)
	n := h.Put(b)
	n += copy(b[n:], d.Sealed)
	for i := range d.Messages {
		n += d.Messages[i].put(b[n:])
	}
	if d.Acks != nil && d.Acks.Arrival != nil {
		wire.PutArrival(b[n:], *d.Acks.Arrival)
		n += wire.ArrivalSize
	}
	n += d.putControl(b[n:])
	b = b[:n+d.Padding]
	if h.Flags&wire.FlagChecksum != 0 {
		wire.Seal(b, nil)
	}
	return b
}

func (d *datagram) putControl(b []byte) int {
	switch {
	case d.Hello != nil:
		body := wire.HelloBody{Connection: d.Hello.Connection, Token: uint32(d.Hello.Token), Params: d.Hello.Params.wire()}
		copy(body.Cookie[:], d.Hello.Cookie)
		return body.Put(b)
	case d.Retry != nil:
		return copy(b, d.Retry)
	case d.Accept != nil:
		body := wire.AcceptBody{Connection: d.Accept.Connection, Token: uint32(d.Accept.Token), Params: d.Accept.Params.wire()}
		return body.Put(b)
	case d.Refuse != nil:
		return wire.PutReason(b, d.Refuse.Code, d.Refuse.Reason)
	case d.Close != nil:
		return wire.PutReason(b, d.Close.Code, d.Close.Reason)
	case d.Reset != nil:
		body := wire.ResetBody{Connection: d.Reset.Connection, Token: uint32(d.Reset.Token), Number: d.Reset.Number}
		return body.Put(b)
	case d.Path != nil:
		return copy(b, d.Path)
	case d.Crypto != nil:
		c := d.Crypto
		body := wire.CryptoBody{
			Connection: c.Connection, Token: uint32(c.Token), Have: uint64(c.Have),
			Piece: wire.Piece{Number: c.Number, Ends: c.Ends, Failed: c.Failed, Data: c.Data},
		}
		return body.Put(b)
	}
	return 0
}

func (m *message) put(b []byte) int {
	w := wire.Message{MessageHeader: wire.MessageHeader{
		Kind: wire.Kind(slices.Index(kindNames, m.Kind)), Flags: setOf(m.Options, optionNames), Code: m.Code,
		Session: m.Session, Generation: m.Generation, Slot: m.Slot, Method: m.Method, Sequence: m.Sequence,
		Deadline: m.Deadline, Total: m.Total, Index: m.Index, Stride: m.Stride,
	}}
	if m.Trace != "" {
		trace, err := wire.ParseTrace(m.Trace)
		if err != nil {
			panic(err) // the document's
		}
		w.Trace = trace
	}
	n := w.Put(b, len(m.Body))
	return n + copy(b[n:], m.Body)
}
