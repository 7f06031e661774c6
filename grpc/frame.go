package pgrpc

import (
	"encoding/binary"
	"errors"
	"strings"

	"google.golang.org/grpc/metadata"
)

// What travels, in front of messages and behind them. Numbers are unsigned varints,
// strings and blocks have their length in front. Metadata is a number of pairs, and
// each pair a key and a value, as it is: binary values need no base64.
//
//	opening  = [path], [0x00: what follows comes joined], terms, metadata
//	                                      the path if the method is not called by name; before a unary request; a stream's header
//	terms    = block of: authority, user agent, encoding, accepted encodings, content subtype, [abilities]
//	heading  = encoding, metadata
//	header   = heading, [abilities]       a served stream's
//	ending   = code, text, metadata       a served stream's trailer
//	reply    = flags, message, [rest, u32: its length]     the rest if a flag asks for it
//	         | flags, rest
//	rest     = [heading], [metadata | ending]
//	message  = [0x00 | 0x01: compressed,] bytes    the byte if the heading has an encoding
//	frame    = u32: length of the message, message
//
// A stream's messages come joined, as frames, one or several to each of the engine's
// messages, from who knows that the other side is able to take them apart; else each is one of
// the engine's, as it is. A server does so if the client's terms have that ability, which its
// header says then. A client does so if the server has said before, on another stream or in a
// reply, that it is able, which stands for the server that the client is connected to, and
// may be another one by now: hence the 0x00, which who is not able takes for terms
// without anything in them, and refuses.
//
// A unary call that fails without metadata is a failure of the engine's kind, with code
// and text, but for the codes by which the engine tells of its own troubles.

// What a reply's first byte says. Zero: a message and nothing else.
const (
	replyHeading  = 1 << iota // the rest has a heading
	replyTrailer              // the rest has metadata
	replyFailed               // there is no message, and the rest has an ending
	replyByStream             // nothing was done: the method's client must open a stream
	replyJoins                // the server has ableToJoin; to clients that have it
	replyKnown    = 1<<iota - 1
)

// What a side is able to, as bits. Those that are not known are of later versions.
const (
	ableToJoin = 1 << iota // takes messages of a stream that come joined
)

const frameHead = 4

var errFrame = errors.New("malformed frame")

// terms are what a client says of each of its calls alike.
type terms struct {
	authority, userAgent, encoding, accepted, subtype string

	abilities uint64
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendMethod is how a call says what it is for, where that is not by name.
func appendMethod(b []byte, method string) []byte { return appendString(b, method) }

func (t *terms) block() []byte {
	var b []byte
	for _, s := range []string{t.authority, t.userAgent, t.encoding, t.accepted, t.subtype} {
		b = appendString(b, s)
	}
	return binary.AppendUvarint(b, t.abilities)
}

// appendMetadata leaves out what is not for users.
func appendMetadata(b []byte, md metadata.MD, added [][2]string) []byte {
	n := len(added)
	for k, values := range md {
		if !reserved(k) {
			n += len(values)
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	for k, values := range md {
		if reserved(k) {
			continue
		}
		for _, v := range values {
			b = appendString(appendString(b, k), v)
		}
	}
	for _, pair := range added {
		b = appendString(appendString(b, pair[0]), pair[1])
	}
	return b
}

func appendHeading(b []byte, encoding string, md metadata.MD) []byte {
	return appendMetadata(appendString(b, encoding), md, nil)
}

func appendEnding(b []byte, code uint32, text string, md metadata.MD) []byte {
	b = binary.AppendUvarint(b, uint64(code))
	return appendMetadata(appendString(b, text), md, nil)
}

// reader takes frames apart. Once bytes are missing all it returns is empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) block() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	block := r.b[:n]
	r.b = r.b[n:]
	return block
}

func (r *reader) text() string { return string(r.block()) }

func (r *reader) terms() terms {
	return terms{r.text(), r.text(), r.text(), r.text(), r.text(), r.abilities()}
}

// abilities come last, where there are any: versions of before did not say theirs.
func (r *reader) abilities() uint64 {
	if len(r.b) == 0 {
		return 0
	}
	return r.number()
}

// metadata adds to md, which it makes if there is something to add.
func (r *reader) metadata(md metadata.MD) metadata.MD {
	n := r.number()
	if n > uint64(len(r.b)/2) { // each is two lengths at least
		r.b, r.bad = nil, true
		return md
	}
	if n > 0 && md == nil {
		md = make(metadata.MD, n)
	}
	for range n {
		k, v := r.text(), r.text()
		if r.bad {
			return md
		}
		md[k] = append(md[k], v)
	}
	return md
}

func (r *reader) err() error {
	if r.bad {
		return errFrame
	}
	return nil
}

// reserved says which keys are gRPC's own; those of users are not sent under them.
func reserved(key string) bool {
	if strings.HasPrefix(key, ":") {
		return true
	}
	switch key {
	case "content-type", "user-agent", "grpc-message-type", "grpc-encoding", "grpc-message", "grpc-status", "grpc-timeout", "te":
		return true
	}
	return false
}

// cutRest takes the rest off behind a message.
func cutRest(b []byte) (message, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errFrame
	}
	at := len(b) - 4
	n := uint64(binary.LittleEndian.Uint32(b[at:]))
	if n > uint64(at) {
		return nil, nil, errFrame
	}
	return b[:at-int(n)], b[at-int(n) : at], nil
}

// cutFrame takes the first frame off.
func cutFrame(b []byte) (message, rest []byte, err error) {
	if len(b) < frameHead {
		return nil, nil, errFrame
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if rest = b[frameHead:]; n > uint64(len(rest)) {
		return nil, nil, errFrame
	}
	return rest[:n:n], rest[n:], nil
}
