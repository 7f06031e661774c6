package dissector_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/wiredoc"
	"github.com/peregrine-rpc/peregrine/wire"
)

// datagram is what the vectors of docs/wire.md say of theirs.
type datagram struct {
	Type       string
	Flags      []string
	Connection uint32
	Token      string
	Number     uint32
	Acks       *struct {
		Largest   uint32
		Delay, CE uint16
		Arrival   *uint32
		Bitmap    []string
	}
	Messages []struct {
		Kind                                     string
		Options                                  []string
		Code                                     uint8
		Session, Generation, Slot, Method        uint16
		Sequence, Deadline, Total, Index, Stride uint32
		Trace, Body                              string
	}
	Hello, Accept *struct {
		Connection uint32
		Token      string
		Params     map[string]uint32
		Cookie     string
	}
	Retry         string
	Refuse, Close *struct {
		Code   uint8
		Reason string
	}
	Reset *struct {
		Connection uint32
		Token      string
		Number     uint32
	}
	Path   string
	Crypto *struct {
		Connection   uint32
		Token, Have  string
		Number       uint8
		Ends, Failed bool
		Data         string
	}
	Words   uint8
	Sealed  string
	Padding int
}

var (
	types = []string{"data", "ack", "hello", "retry", "accept", "refuse", "reset", "close", "path_challenge", "path_response",
		"crypto", "post_crypto"}
	kinds = []string{"", "request", "response", "cancel", "close_session", "ping",
		"stream_header", "stream_data", "stream_end", "stream_window", "stream_reset"}
)

// shown is what the dissector is to show of d: values by field, in order.
func (d *datagram) shown(t *testing.T) map[string][]string {
	s := map[string][]string{}
	add := func(field string, value any) {
		s["peregrine."+field] = append(s["peregrine."+field], fmt.Sprint(value))
	}
	hex := func(text string) string { // as a number; 0 where the document says nothing
		n, err := strconv.ParseUint(text, 0, 64)
		if text != "" {
			require.NoError(t, err)
		}
		return fmt.Sprintf("0x%08x", n)
	}
	bytes := func(field, text string) {
		b, err := wiredoc.ParseHex(text)
		require.NoError(t, err)
		if len(b) > 0 {
			add(field, fmt.Sprintf("%x", b))
		}
	}
	bit := func(field string, list []string, name string) {
		add(field, map[bool]int{true: 1}[slices.Contains(list, name)])
	}

	add("type", slices.Index(types, d.Type))
	bit("flags.checksum", d.Flags, "checksum")
	bit("flags.ack_now", d.Flags, "ack_now")
	bit("flags.sealed", d.Flags, "sealed")
	bit("flags.phase", d.Flags, "phase")
	if slices.Contains(d.Flags, "checksum") {
		add("checksum.good", 1)
	}
	add("connection", d.Connection)
	add("token", hex(d.Token))
	if d.Type == "data" || d.Sealed != "" {
		add("number", d.Number)
	}
	bytes("sealed", d.Sealed)
	if a := d.Acks; a != nil {
		add("ack.largest", a.Largest)
		add("ack.delay", a.Delay)
		add("ack.ce", a.CE)
		if a.Arrival != nil {
			add("ack.arrival", *a.Arrival)
		}
		for _, word := range a.Bitmap {
			n, err := strconv.ParseUint(word, 0, 64)
			require.NoError(t, err)
			add("ack.bitmap", fmt.Sprintf("0x%016x", n))
		}
	}
	for _, m := range d.Messages {
		add("kind", slices.Index(kinds, m.Kind))
		bit("fragment", m.Options, "fragment")
		bit("has_deadline", m.Options, "deadline")
		bit("has_trace", m.Options, "trace")
		if m.Kind == "response" || m.Kind == "stream_end" || m.Kind == "stream_reset" {
			add("code", m.Code&^wire.NotExecuted)
			add("not_executed", m.Code>>7)
		}
		if m.Kind != "ping" {
			add("session", m.Session)
			add("generation", m.Generation)
		}
		switch m.Kind {
		case "request":
			add("method", m.Method)
			fallthrough
		case "response", "cancel":
			add("slot", m.Slot)
			add("sequence", m.Sequence)
		}
		if strings.HasPrefix(m.Kind, "stream_") {
			add("stream.index", m.Slot)
			add("stream.use", m.Method)
		}
		switch m.Kind {
		case "stream_header":
			add("method", m.Sequence)
		case "stream_data", "stream_end":
			add("stream.place", m.Sequence)
		case "stream_window":
			add("stream.limit", m.Sequence)
		}
		if slices.Contains(m.Options, "deadline") {
			add("deadline.us", wire.DecodeTimeout(m.Deadline).Microseconds())
		}
		if slices.Contains(m.Options, "fragment") {
			add("total", m.Total)
			add("index", m.Index)
			add("stride", m.Stride)
		}
		if trace := strings.Split(m.Trace, "-"); len(trace) == 4 {
			bytes("trace.id", trace[1])
			bytes("trace.span", trace[2])
			add("trace.recorded", strings.TrimPrefix(trace[3], "0"))
		}
		bytes("body", m.Body)
	}
	greeting := d.Hello
	if greeting == nil {
		greeting = d.Accept
	}
	if greeting != nil {
		add("own.connection", greeting.Connection)
		add("own.token", hex(greeting.Token))
		for _, p := range []string{"max_datagram", "credits", "slots", "sessions", "ack_delay", "max_message", "receive_window", "keep_alive", "streams", "stream_window"} {
			add("params."+p, greeting.Params[p])
		}
		add("params.features", fmt.Sprintf("0x%08x", greeting.Params["features"]))
	}
	if d.Hello != nil {
		if d.Hello.Cookie == "" {
			d.Hello.Cookie = "00*24"
		}
		bytes("cookie", d.Hello.Cookie)
	}
	bytes("cookie", d.Retry)
	for _, r := range []*struct {
		Code   uint8
		Reason string
	}{d.Refuse, d.Close} {
		if r != nil {
			add("code", r.Code)
			if r.Reason != "" {
				add("reason", r.Reason)
			}
		}
	}
	if r := d.Reset; r != nil {
		add("reset.connection", r.Connection)
		add("reset.token", hex(r.Token))
		add("reset.number", r.Number)
	}
	bytes("path", d.Path)
	if c := d.Crypto; c != nil {
		add("own.connection", c.Connection)
		add("own.token", hex(c.Token))
		have, err := strconv.ParseUint(c.Have, 0, 64)
		require.NoError(t, err)
		add("crypto.have", fmt.Sprintf("0x%016x", have))
		add("crypto.piece", c.Number)
		add("crypto.ends", map[bool]int{true: 1}[c.Ends])
		add("crypto.failed", map[bool]int{true: 1}[c.Failed])
		bytes("crypto.data", c.Data)
	}
	if d.Padding > 0 {
		bytes("padding", fmt.Sprintf("00*%d", d.Padding))
	}
	return s
}

// fields are all that shown may show.
var fields = strings.Fields(`type flags.checksum flags.ack_now flags.sealed flags.phase sealed crypto.have crypto.piece
	crypto.ends crypto.failed crypto.data checksum.good connection token number ack.largest ack.delay
	ack.ce ack.arrival ack.bitmap kind fragment has_deadline has_trace code not_executed session generation method slot sequence stream.index stream.use stream.place stream.limit deadline.us total
	index stride trace.id trace.span trace.recorded body own.connection own.token params.max_datagram params.credits params.slots params.sessions
	params.ack_delay params.max_message params.receive_window params.keep_alive params.features params.streams params.stream_window cookie reason
	reset.connection reset.token reset.number path padding`)

// vectors are those of the document.
func vectors(t *testing.T) []wiredoc.Vector {
	vectors, err := wiredoc.Vectors("../../../../docs/wire.md")
	require.NoError(t, err)
	return slices.DeleteFunc(vectors, func(v wiredoc.Vector) bool {
		return len(v.Bytes) < 16 || v.Error == "magic" // which tell nobody that they are Peregrine's
	})
}

// The document's vectors are shown as the document reads them, field by field; those
// that are not valid are marked, by the error's name.
func TestTheDocumentsVectorsAreShown(t *testing.T) {
	t.Parallel()
	vectors := vectors(t)
	c := newCapture()
	for _, v := range vectors {
		c.add(client, server, v.Bytes)
	}
	requireShown(t, vectors, c.dissect)
}

// requireShown checks a capture of vectors, given how to have it dissected.
func requireShown(t *testing.T, vectors []wiredoc.Vector, dissect func(t *testing.T, fields ...string) []map[string][]string) {
	columns := []string{"_ws.expert.message", "peregrine.type"}
	for _, f := range fields[1:] {
		columns = append(columns, "peregrine."+f)
	}
	packets := dissect(t, columns...)
	require.Len(t, packets, len(vectors))
	for i, v := range vectors {
		packet := packets[i]
		experts := strings.Join(packet["_ws.expert.message"], " ")
		delete(packet, "_ws.expert.message")
		switch v.Error {
		case "":
			var d datagram
			require.NoError(t, json.Unmarshal(v.Fields, &d), v.Name)
			want := d.shown(t)
			for field, values := range packet { // as newer versions write them
				for j := range values {
					values[j] = strings.NewReplacer("True", "1", "False", "0").Replace(values[j])
				}
				packet[field] = values
			}
			if v.Ignored {
				delete(packet, "peregrine.padding") // what the document does not look at may be shown
			}
			require.Equal(t, want, packet, v.Name)
			require.NotContains(t, experts, ": ", v.Name)
		case "version":
			require.Contains(t, experts, "Another version", v.Name)
		case "checksum":
			require.Regexp(t, "checksum is wrong|checksum: ", experts, v.Name)
		case "type":
			if packet["peregrine.type"] == nil {
				continue // a type that there is not tells nobody that it is Peregrine's
			}
			fallthrough
		default:
			require.Contains(t, experts, v.Error+": ", v.Name)
		}
	}
}
