package pgrpc

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func request(t *testing.T, md metadata.MD) []byte {
	t.Helper()
	cc := newClientConn("there", nil)
	r := &clientRPC{conn: cc, method: "/a.B/C", md: md}
	b, err := r.opening(nil)
	require.NoError(t, err)
	return b
}

// What a client says in front is what a server reads, and the message is what is left.
func TestOpening(t *testing.T) {
	t.Parallel()
	s := NewServer()
	for _, md := range []metadata.MD{nil, {"a": {"1", "2"}, "b-bin": {"\x00\xff"}, "te": {"x"}}} {
		for range 2 {
			o, err := s.open(append(request(t, md), "message"...), nil)
			require.NoError(t, err)
			require.Equal(t, "/a.B/C", o.method)
			require.Equal(t, "message", string(o.rest))
			require.Equal(t, []string{"there"}, o.md[":authority"])
			require.Equal(t, md["a"], o.md["a"])
			require.Equal(t, md["b-bin"], o.md["b-bin"])
			require.Empty(t, o.md["te"])
		}
	}
	// Metadata of one call does not get into another's, though they share their terms.
	o, err := s.open(request(t, nil), nil)
	require.NoError(t, err)
	require.NotContains(t, o.md, "a")
}

// Clients that change their terms with each call take a bounded memory.
func TestTermsAreBounded(t *testing.T) {
	t.Parallel()
	var c termsCache
	for i := range 10 * maxTerms {
		terms := terms{authority: string(rune('a'+i%26)) + string(rune('a'+i/26))}
		known, err := c.get(terms.block())
		require.NoError(t, err)
		require.Equal(t, terms, known.terms)
		require.LessOrEqual(t, len(*c.of.Load()), maxTerms)
	}
	long := terms{authority: string(make([]byte, 2*maxTermsBytes))}
	before := len(*c.of.Load())
	_, err := c.get(long.block())
	require.NoError(t, err)
	require.Len(t, *c.of.Load(), before)
}

// No bytes make a server panic, or read beyond them.
func FuzzOpening(f *testing.F) {
	f.Add(append(request(&testing.T{}, metadata.MD{"a": {"1"}}), "message"...))
	f.Add([]byte{})
	f.Add([]byte{1, '/', 0, 5, 0, 0, 0, 0, 0, 0}) // and its messages come joined
	f.Add([]byte{1, '/', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	s := NewServer()
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := s.open(b, nil); err == nil {
			require.LessOrEqual(t, len(o.rest), len(b))
			require.Error(t, o.unfound)
		}
		if o, err := s.open(b, &target{}); err == nil { // called by name
			require.LessOrEqual(t, len(o.rest), len(b))
		}
	})
}

// No bytes make a client panic.
func FuzzReply(f *testing.F) {
	f.Add([]byte{0, 10, 1, 'a'})
	f.Add(appendEnding([]byte{replyFailed}, 5, "gone", metadata.MD{"a": {"1"}}))
	f.Add(append(appendHeading([]byte{replyHeading, 'x'}, "gzip", nil), 9, 0, 0, 0))
	f.Add([]byte{replyTrailer, 0, 1, 0, 0, 0})
	f.Add([]byte{replyByStream})
	cc := newClientConn("there", nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &clientRPC{conn: cc, desc: &grpc.StreamDesc{}}
		info, err := newCallInfo(nil)
		require.NoError(t, err)
		r.info, r.in.codec = info, info.codec
		r.reply(b, new(wrapperspb.StringValue))
	})
}

// No header and no trailer of a stream makes a client panic.
func FuzzEnding(f *testing.F) {
	f.Add(appendEnding(nil, 5, "gone", metadata.MD{detailsKey: {"?"}}))
	f.Add(appendHeading(nil, "gzip", metadata.MD{"a": {"1"}}))
	cc := newClientConn("there", nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &clientRPC{conn: cc, desc: &grpc.StreamDesc{}}
		r.heading(&reader{b: b})
		r.ending(&reader{b: b})
	})
}

// No message makes a decoder panic, and none is longer than it may be.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 10, 1, 'a'}, true)
	f.Add([]byte{1, 0x1f, 0x8b}, true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, zipped bool) {
		c := coding{codec: protobuf}
		if zipped {
			c.encoding, c.compressor = "gzip", compressorNamed("gzip")
		}
		if size, err := c.decode(b, new(wrapperspb.BytesValue), 1000, atServer); err == nil {
			require.LessOrEqual(t, size.length, 1000)
		}
	})
}

// Whatever a stream's message holds is taken apart to its end, or refused.
func FuzzFrames(f *testing.F) {
	c := coding{codec: protobuf, joined: true}
	for _, texts := range [][]string{{"a"}, {"a", "", "ccc"}} {
		var joined []byte
		for _, text := range texts {
			joined, _, _ = c.appendFrame(joined, wrapperspb.String(text), math.MaxInt)
		}
		f.Add(joined)
	}
	f.Add([]byte{9, 0, 0, 0, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			message, after, err := cutFrame(rest)
			if err != nil {
				return
			}
			require.Equal(t, len(rest), frameHead+len(message)+len(after))
			rest = after
		}
	})
}

// Who takes messages of any length gets what the engine can do.
func TestTheEnginesLimitOfMessages(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 16<<20, maxMessage(0))
	require.EqualValues(t, 128<<20, maxMessage(64<<20))
	require.EqualValues(t, 1<<30, maxMessage(math.MaxInt))
}
