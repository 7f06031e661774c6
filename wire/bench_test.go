package wire_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// codec is one encoding or decoding, ready to be repeated.
type codec struct {
	name  string
	bytes int
	run   func() error
}

// codecs are the steps of the hot path, and the bodies of the handshake.
func codecs(tb testing.TB) []codec {
	var all []codec
	add := func(name string, bytes int, run func() error) {
		require.NoError(tb, run(), name)
		all = append(all, codec{name, bytes, run})
	}

	for _, words := range []uint8{0, 1, wire.MaxAckWords - 1} {
		h := wire.Header{Connection: 7, Token: 0xFEE1DE4D, Number: 42, Acks: wire.AckBlock{Words: words, Largest: 41}}
		b := make([]byte, h.Size())
		name := fmt.Sprintf("Header/words=%d", words)
		add("Put"+name, 0, func() error { h.Put(b); return nil })
		add("Parse"+name, 0, func() error { _, err := h.Parse(b); return err })
	}

	plain := wire.Message{MessageHeader: wire.MessageHeader{Kind: wire.Request, Session: 1, Generation: 1, Slot: 1, Method: 1, Sequence: 1}}
	fragment := plain
	fragment.Flags = wire.FlagDeadline | wire.FlagFragment
	fragment.Deadline, fragment.Total, fragment.Stride = 1000, 1033, 1032
	for _, m := range []*wire.Message{&plain, &fragment} {
		name := "Message/plain"
		length := 32
		if m.Flags != 0 {
			name, length = "Message/fragment", int(m.Stride)
		}
		b := make([]byte, m.HeaderSize()+length)
		add("Put"+name, 0, func() error { m.Put(b, length); return nil })
		add("Parse"+name, 0, func() error { _, err := m.Parse(b); return err })
	}

	hello := wire.HelloBody{Token: 1, Params: wire.Params{MaxDatagram: wire.MinHello, Credits: 1, Slots: 1, Sessions: 1, KeepAlive: 1}}
	accept := wire.AcceptBody{Token: 1, Params: hello.Params}
	reset := wire.ResetBody{Number: 1}
	b := make([]byte, wire.MinHello)
	add("Hello", 0, func() error { hello.Put(b); return hello.Parse(b, wire.MinHello) })
	add("Cookie", 0, func() error { _, err := wire.ParseCookie(b); return err })
	add("Accept", 0, func() error { accept.Put(b); return accept.Parse(b) })
	add("Reset", 0, func() error { reset.Put(b); return reset.Parse(b) })
	add("Reason", 0, func() error {
		wire.PutReason(b, 14, "server is shutting down")
		_, _, err := wire.ParseReason(b)
		return err
	})

	for _, size := range []int{64, 1472, 8972} {
		b := sealed(size)
		add(fmt.Sprintf("Seal/bytes=%d", size), size, func() error { wire.Seal(b, nil); return nil })
		add(fmt.Sprintf("Verify/bytes=%d", size), size, func() error { return wire.Verify(b) })
	}
	return all
}

// Not parallel: other tests' allocations would be counted.
func TestNothingAllocates(t *testing.T) {
	for _, c := range codecs(t) {
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = c.run() }), c.name)
	}
	short := make([]byte, wire.HeaderSize-1)
	var h wire.Header
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = h.Parse(short) }), "an error")
}

func BenchmarkCodec(b *testing.B) {
	for _, c := range codecs(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(c.bytes))
			for b.Loop() {
				_ = c.run()
			}
		})
	}
}
