package conform

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/peregrine-rpc/peregrine/internal/wiredoc"
	"github.com/peregrine-rpc/peregrine/wire"
)

var (
	typeNames = []string{
		"data", "ack", "hello", "retry", "accept", "refuse", "reset", "close", "path_challenge", "path_response",
		"crypto", "post_crypto",
	}
	kindNames = []string{
		"", "request", "response", "cancel", "close_session", "ping",
		"stream_header", "stream_data", "stream_end", "stream_window", "stream_reset",
	}
)

// build makes the datagram that a step describes, around messages.
func (p *peer) build(d *Datagram, messages []byte) ([]byte, error) {
	kind := max(0, slices.Index(typeNames, d.Type))
	h := wire.Header{Type: wire.Type(kind), Connection: p.theirIndex, Token: p.theirToken}
	control := h.Type > wire.Ack
	sealed := p.protects(h.Type) && d.Seal != "none"
	if !sealed && (control && d.Checksum != "none" || p.checksum && d.Checksum != "none" || d.Checksum == "right" || d.Checksum == "wrong") {
		h.Flags |= wire.FlagChecksum
	}
	if slices.Contains(d.Flags, "ack_now") {
		h.Flags |= wire.FlagAckNow
	}
	if h.Type == wire.Hello || h.Type == wire.Reset {
		h.Connection, h.Token = 0, 0
	}
	if d.Connection == "wrong" {
		h.Connection ^= 0x5555
	}
	if d.Token == "wrong" {
		h.Token ^= 0x55555555
	}
	number := p.next
	switch {
	case h.Type == wire.Data:
		if d.Number != nil && *d.Number > 0 {
			number = *d.Number + p.base
		} else if d.Number != nil {
			number = 0
		}
		h.Number = uint32(number)
		p.next = max(p.next, number+1)
	case sealed:
		p.keys.sent++
		number = p.keys.sent | unnumbered
		h.Number = uint32(number)
	}
	if a := d.Acks; a != nil {
		h.Acks = wire.AckBlock{Words: uint8(len(a.Bitmap)), Largest: a.Largest, Delay: a.Delay}
		for i, word := range a.Bitmap {
			w, err := strconv.ParseUint(word, 0, 64)
			if err != nil {
				return nil, err
			}
			h.Acks.Bitmap[i] = w
		}
	}
	p.said[names{h.Connection, h.Token}] = true
	data := make([]byte, h.Size())
	h.Put(data)
	data = append(data, messages...)
	body, err := p.body(d, h.Type)
	if err != nil {
		return nil, err
	}
	data = append(data, body...)
	for offset, text := range d.Patch {
		at, err := strconv.Atoi(offset)
		piece, bad := wiredoc.ParseHex(text)
		if err != nil || bad != nil || at+len(piece) > len(data) {
			return nil, fmt.Errorf("the patch %s: %s does not fit", offset, text)
		}
		copy(data[at:], piece)
	}
	if d.Length > 0 {
		data = append(data, make([]byte, max(0, d.Length-len(data)))...)[:d.Length]
	}
	switch {
	case sealed && len(data) >= wire.HeaderSize:
		data[2] |= wire.FlagSealed
		data = p.keys.Seal(slices.Grow(data, wire.TagSize), number)
		if d.Seal == "wrong" {
			data[len(data)-1] ^= 1
		}
	case h.Flags&wire.FlagChecksum != 0 && len(data) >= wire.HeaderSize+wire.ChecksumSize:
		wire.Seal(data, nil)
		if d.Checksum == "wrong" {
			data[wire.HeaderSize] ^= 1
		}
	}
	p.sent = data
	return data, nil
}

// body is that of a control datagram, and what comes behind messages.
func (p *peer) body(d *Datagram, kind wire.Type) ([]byte, error) {
	switch {
	case kind == wire.Hello:
		return p.hello(d.Hello)
	case kind == wire.Retry && d.Body == "":
		if p.serving && p.cookie == [wire.CookieSize]byte{} {
			rand.Read(p.cookie[:])
		}
		return p.cookie[:], nil
	case kind == wire.Accept && d.Body == "":
		accept := wire.AcceptBody{Connection: p.index, Token: p.token, Params: p.params()}
		body := make([]byte, wire.AcceptSize)
		accept.Put(body)
		return body, nil
	case kind == wire.Refuse || kind == wire.Close:
		reason, err := wiredoc.ParseHex(d.Body)
		if d.Body == "" {
			reason = []byte("a test")
		}
		return append(binary.LittleEndian.AppendUint16([]byte{d.Code}, uint16(len(reason))), reason...), err
	case kind == wire.Reset:
		names := [2]uint32{p.index, p.token}
		if d.Body != "names" {
			names[1] ^= 0x55555555
		}
		body := binary.LittleEndian.AppendUint32(nil, names[0])
		return append(binary.LittleEndian.AppendUint32(body, names[1]), 1, 0, 0, 0), nil
	}
	return wiredoc.ParseHex(d.Body)
}

func (p *peer) hello(d *Hello) ([]byte, error) {
	if d == nil {
		d = &Hello{}
	}
	hello := wire.HelloBody{Connection: p.index, Token: p.token, Params: p.params(), Cookie: p.cookie}
	switch d.Cookie {
	case "none":
		hello.Cookie = [wire.CookieSize]byte{}
	case "wrong":
		hello.Cookie[20] ^= 0x55
	}
	for name, value := range d.Params {
		switch name {
		case "slots":
			hello.Params.Slots = uint16(value)
		case "credits":
			hello.Params.Credits = uint16(value)
		case "max_datagram":
			hello.Params.MaxDatagram = uint32(value)
		case "sessions":
			hello.Params.Sessions = uint16(value)
		case "keep_alive":
			hello.Params.KeepAlive = uint32(value)
		case "features":
			hello.Params.Features = uint32(value)
		default:
			return nil, fmt.Errorf("no param is called %q", name)
		}
	}
	size := wire.MinHello
	if d.Size > 0 {
		size = d.Size
	}
	body := make([]byte, size-wire.HeaderSize-wire.ChecksumSize)
	hello.Put(body)
	return body, nil
}

// stride is that of echoes that are too long for a datagram.
const stride = 1000

// messages encodes those of a datagram; more is those that Pieces puts in datagrams behind it.
func (p *peer) messages(list []Message) (first []byte, more [][]byte, err error) {
	for i := range list {
		m := &list[i]
		body, err := p.bodyOf(m)
		if err != nil {
			return nil, nil, err
		}
		h := p.headerOf(m)
		pieces := m.Pieces
		if m.Body == "echo" && len(body) > stride {
			h.Stride = stride
			for at := 0; at < len(body); at += stride {
				pieces = append([]uint32{uint32(at / stride)}, pieces...) // the last one first
			}
		}
		if pieces == nil {
			at := len(first)
			first = append(first, make([]byte, h.HeaderSize())...)
			h.Put(first[at:], len(body))
			first = append(first, body...)
			continue
		}
		for _, index := range pieces {
			h.Flags |= wire.FlagFragment
			h.Index, h.Total = index, uint32(len(body))
			at := int(index) * int(h.Stride)
			piece := body[at:min(at+int(h.Stride), len(body))]
			b := make([]byte, h.HeaderSize())
			h.Put(b, len(piece))
			more = append(more, append(b, piece...))
		}
	}
	return first, more, nil
}

func (p *peer) bodyOf(m *Message) ([]byte, error) {
	if m.Body == "echo" {
		return p.request.body, nil
	}
	return wiredoc.ParseHex(m.Body)
}

func (p *peer) headerOf(m *Message) wire.MessageHeader {
	h := wire.MessageHeader{
		Kind: wire.Kind(max(1, slices.Index(kindNames, m.Kind))), Code: m.Code, Deadline: m.Deadline, Total: m.Total, Index: m.Index, Stride: m.Stride,
		Generation: 1, Method: 1, Sequence: 1,
	}
	switch h.Kind {
	case wire.Response:
		k := p.request.key
		h.Session, h.Generation, h.Slot, h.Sequence, h.Method = k.session, k.generation, k.slot, k.sequence, 0
	case wire.Request, wire.StreamHeader, wire.StreamData, wire.StreamEnd, wire.StreamWindow, wire.StreamReset:
	case wire.CloseSession:
		h.Method = 0
		if p.serving {
			h.Session, h.Generation = p.request.key.session, p.request.key.generation
			p.closed = p.request.key
		}
	default:
		h.Method = 0
	}
	set(&h.Session, m.Session)
	set(&h.Generation, m.Generation)
	set(&h.Slot, m.Slot)
	set(&h.Method, m.Method)
	set(&h.Sequence, m.Sequence)
	if h.Kind == wire.StreamWindow {
		p.limit = max(p.limit, h.Sequence)
	}
	for _, option := range m.Options {
		switch option {
		case "fragment":
			h.Flags |= wire.FlagFragment
		case "deadline":
			h.Flags |= wire.FlagDeadline
		}
	}
	return h
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
