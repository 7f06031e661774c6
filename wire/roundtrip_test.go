package wire_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/wire"
)

// Generators must not be shared by tests that run side by side.
func u8(t *rapid.T, name string) uint8       { return rapid.Byte().Draw(t, name) }
func u16(t *rapid.T, name string) uint16     { return rapid.Uint16().Draw(t, name) }
func u32(t *rapid.T, name string) uint32     { return rapid.Uint32().Draw(t, name) }
func u64(t *rapid.T, name string) uint64     { return rapid.Uint64().Draw(t, name) }
func nonzero(t *rapid.T, name string) uint16 { return rapid.Uint16Min(1).Draw(t, name) }

// headers generates all headers that may be sent.
func headers(t *rapid.T) wire.Header {
	h := wire.Header{
		Type:       wire.Type(rapid.IntRange(int(wire.Data), int(wire.PathResponse)).Draw(t, "type")),
		Flags:      rapid.Uint8Range(0, wire.FlagChecksum|wire.FlagAckNow).Draw(t, "flags"),
		Connection: u32(t, "connection"),
		Token:      u32(t, "token"),
		Number:     u32(t, "number"),
	}
	if h.Type > wire.Ack {
		return h
	}
	if h.Acks.Words = rapid.Uint8Range(0, wire.MaxAckWords).Draw(t, "words"); h.Acks.Words > 0 {
		h.Acks.Largest = u32(t, "largest")
		h.Acks.Delay = u16(t, "delay")
		h.Acks.CE = u16(t, "ce")
		for i := range h.Acks.Words {
			h.Acks.Bitmap[i] = u64(t, "bitmap")
		}
	}
	return h
}

// messages generates all messages that may be sent, with their bodies.
func messages(t *rapid.T) wire.Message {
	m := wire.Message{MessageHeader: wire.MessageHeader{
		Kind:       wire.Kind(rapid.IntRange(int(wire.Request), int(wire.Ping)).Draw(t, "kind")),
		Code:       u8(t, "code"),
		Session:    u16(t, "session"),
		Generation: u16(t, "generation"),
		Slot:       u16(t, "slot"),
		Method:     u16(t, "method"),
		Sequence:   u32(t, "sequence"),
	}}
	if m.Kind == wire.Request && rapid.Bool().Draw(t, "has deadline") {
		m.Flags |= wire.FlagDeadline
		m.Deadline = u32(t, "deadline")
	}
	if m.Kind == wire.Request && rapid.Bool().Draw(t, "has trace") {
		m.Flags |= wire.FlagTrace
		m.Trace.Flags = u8(t, "trace-flags")
		binary.LittleEndian.PutUint64(m.Trace.TraceID[4:], u64(t, "trace"))
		binary.LittleEndian.PutUint64(m.Trace.SpanID[:], u64(t, "span"))
	}
	length := rapid.IntRange(0, 3000).Draw(t, "length")
	if m.Kind <= wire.Response && rapid.Bool().Draw(t, "is fragment") {
		m.Flags |= wire.FlagFragment
		m.Stride = rapid.Uint16Min(wire.MinFragment).Draw(t, "stride")
		m.Total = rapid.Uint32Min(uint32(m.Stride)+1).Draw(t, "total")
		m.Index = rapid.Uint32Range(0, (m.Total-1)/uint32(m.Stride)).Draw(t, "index")
		length = min(int(m.Stride), int(m.Total)-int(m.Index)*int(m.Stride))
	}
	m.Body = slices.Repeat([]byte{u8(t, "body")}, length)
	return m
}

func anyParams(t *rapid.T) wire.Params {
	return wire.Params{
		MaxDatagram:   rapid.Uint32Min(wire.MinHello).Draw(t, "max_datagram"),
		Credits:       nonzero(t, "credits"),
		Slots:         nonzero(t, "slots"),
		Sessions:      nonzero(t, "sessions"),
		AckDelay:      u16(t, "ack_delay"),
		MaxMessage:    u32(t, "max_message"),
		ReceiveWindow: u32(t, "receive_window"),
		KeepAlive:     rapid.Uint32Min(1).Draw(t, "keep_alive"),
		Features:      u32(t, "features"),
	}
}

// lengthsBelow is every length below n if there are few, else some of them.
func lengthsBelow(n int) []int {
	var lengths []int
	for i := range min(n, 80) {
		lengths = append(lengths, i)
	}
	for i := 80; i < n; i += 1 + n/8 {
		lengths = append(lengths, i)
	}
	if n > 0 {
		lengths = append(lengths, n-1)
	}
	return lengths
}

func TestHeadersComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := headers(t)
		follows := []byte("what follows")
		b := make([]byte, wire.MaxHeaderSize+len(follows))
		n := h.Put(b)
		require.Equal(t, h.Size(), n)
		b = b[:n+copy(b[n:], follows)]

		var got wire.Header
		rest, err := got.Parse(b)
		require.NoError(t, err)
		require.Equal(t, h, got)
		require.Equal(t, follows, rest)

		for cut := range n {
			_, err := got.Parse(b[:cut:cut])
			require.ErrorIs(t, err, wire.ErrLength, "cut to %d of %d bytes", cut, n)
		}
	})
}

func TestMessagesComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := messages(t)
		follows := []byte("what follows")
		b := make([]byte, m.HeaderSize(), m.HeaderSize()+len(m.Body)+len(follows))
		require.Equal(t, m.HeaderSize(), m.Put(b, len(m.Body)))
		b = append(append(b, m.Body...), follows...)

		var got wire.Message
		rest, err := got.Parse(b)
		require.NoError(t, err)
		require.Equal(t, m, got)
		require.Equal(t, follows, rest)

		size := len(b) - len(follows)
		for _, cut := range lengthsBelow(size) {
			_, err := got.Parse(b[:cut:cut])
			require.ErrorIs(t, err, wire.ErrLength, "cut to %d of %d bytes", cut, size)
		}
	})
}

func TestABodyCannotBeGrownIntoTheNextMessage(t *testing.T) {
	t.Parallel()
	b := make([]byte, 2*wire.MessageHeaderSize+2)
	m := wire.Message{MessageHeader: wire.MessageHeader{Kind: wire.Ping}}
	m.Put(b, 2)
	_, err := m.Parse(b)
	require.NoError(t, err)
	_ = append(m.Body, 0xFF)
	require.Zero(t, b[wire.MessageHeaderSize+2])
}

func TestHelloComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hello := wire.HelloBody{Connection: u32(t, "connection"), Token: 1 | u32(t, "token"), Params: anyParams(t)}
		copy(hello.Cookie[:], rapid.SliceOfN(rapid.Byte(), wire.CookieSize, wire.CookieSize).Draw(t, "cookie"))
		b := make([]byte, wire.HelloSize)
		require.Equal(t, len(b), hello.Put(b))

		var got wire.HelloBody
		require.NoError(t, got.Parse(b, wire.MinHello))
		require.Equal(t, hello, got)

		require.ErrorIs(t, got.Parse(b, wire.MinHello-1), wire.ErrLength)
		for cut := range b {
			require.ErrorIs(t, got.Parse(b[:cut:cut], wire.MinHello), wire.ErrLength)
		}
	})
}

func TestAcceptComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		accept := wire.AcceptBody{Connection: u32(t, "connection"), Token: 1 | u32(t, "token"), Params: anyParams(t)}
		b := make([]byte, wire.AcceptSize)
		require.Equal(t, len(b), accept.Put(b))

		var got wire.AcceptBody
		require.NoError(t, got.Parse(b))
		require.Equal(t, accept, got)

		for cut := range b {
			require.ErrorIs(t, got.Parse(b[:cut:cut]), wire.ErrLength)
		}
	})
}

func TestLimitsThatNothingCanBeSentWithinAreRejected(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*wire.Params){
		"max_datagram": func(p *wire.Params) { p.MaxDatagram = wire.MinHello - 1 },
		"credits":      func(p *wire.Params) { p.Credits = 0 },
		"slots":        func(p *wire.Params) { p.Slots = 0 },
		"sessions":     func(p *wire.Params) { p.Sessions = 0 },
		"keep_alive":   func(p *wire.Params) { p.KeepAlive = 0 },
	} {
		params := wire.Params{MaxDatagram: wire.MinHello, Credits: 1, Slots: 1, Sessions: 1, KeepAlive: 1}
		b := make([]byte, wire.HelloSize)
		hello := wire.HelloBody{Token: 1, Params: params}
		accept := wire.AcceptBody{Token: 1, Params: params}

		hello.Put(b)
		require.NoError(t, hello.Parse(b, wire.MinHello), name)
		accept.Put(b)
		require.NoError(t, accept.Parse(b), name)

		spoil(&hello.Params)
		hello.Put(b)
		require.ErrorIs(t, hello.Parse(b, wire.MinHello), wire.ErrParams, name)
		spoil(&accept.Params)
		accept.Put(b)
		require.ErrorIs(t, accept.Parse(b), wire.ErrParams, name)

		(&wire.HelloBody{Params: params}).Put(b)
		require.ErrorIs(t, hello.Parse(b, wire.MinHello), wire.ErrParams, "no token")
		(&wire.AcceptBody{Params: params}).Put(b)
		require.ErrorIs(t, accept.Parse(b), wire.ErrParams, "no token")
	}
}

func TestResetComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		reset := wire.ResetBody{Connection: u32(t, "connection"), Token: u32(t, "token"), Number: u32(t, "number")}
		b := make([]byte, wire.ResetSize)
		require.Equal(t, len(b), reset.Put(b))

		var got wire.ResetBody
		require.NoError(t, got.Parse(b))
		require.Equal(t, reset, got)

		for cut := range b {
			require.ErrorIs(t, got.Parse(b[:cut:cut]), wire.ErrLength)
		}
	})
}

func TestReasonsComeBackCutToTheirBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		code := u8(t, "code")
		reason := rapid.StringN(0, -1, 2*wire.MaxReason).Draw(t, "reason")
		b := make([]byte, 3+wire.MaxReason)
		n := wire.PutReason(b, code, reason)
		b = b[:n]

		gotCode, gotReason, err := wire.ParseReason(b)
		require.NoError(t, err)
		require.Equal(t, code, gotCode)
		require.Equal(t, reason[:min(len(reason), wire.MaxReason)], string(gotReason))

		for cut := range b {
			_, _, err := wire.ParseReason(b[:cut:cut])
			require.ErrorIs(t, err, wire.ErrLength)
		}
	})
}

func TestACookieComesWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := []byte("a cookie of 24 bytes, ok")
	cookie, err := wire.ParseCookie(b)
	require.NoError(t, err)
	require.Equal(t, b, cookie[:])
	for cut := range b {
		_, err := wire.ParseCookie(b[:cut:cut])
		require.ErrorIs(t, err, wire.ErrLength)
	}
}

func TestPathDataComesWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := []byte("8 bytes.")
	data, err := wire.ParsePath(b)
	require.NoError(t, err)
	require.Equal(t, b, data[:])
	for cut := range b {
		_, err := wire.ParsePath(b[:cut:cut])
		require.ErrorIs(t, err, wire.ErrLength)
	}
}
