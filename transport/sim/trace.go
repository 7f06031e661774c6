package sim

import (
	"encoding/hex"
	"hash/fnv"
	"io"
	"strconv"
	"time"
)

// Trace writes a line for each event from now on: the time in seconds, what
// happened and where; for a datagram its number, sender and destination, bytes,
// ECN code point, a hash of its data, and what describe says of it, or its
// first bytes if describe is nil. A nil w ends it. The trace ends at the first
// error of w.
//
//	1.000020000 send client>tor #7 10.0.0.1:1>10.0.0.2:1 46 ecn=2 9f3c61d2 01020304
func (n *Network) Trace(w io.Writer, describe func(data []byte) string) {
	n.tracer = nil
	if w != nil {
		n.tracer = &tracer{net: n, w: w, describe: describe}
	}
}

type tracer struct {
	net      *Network
	w        io.Writer
	describe func(data []byte) string
	line     []byte
}

// shown is how many bytes of a datagram a trace shows.
const shown = 16

func (t *tracer) packet(what, where, toward string, p *Packet) {
	t.begin(what, where)
	if toward != "" {
		t.line = append(t.line, '>')
		t.line = append(t.line, toward...)
	}
	t.line = append(t.line, " #"...)
	t.line = strconv.AppendUint(t.line, p.ID, 10)
	t.line = append(t.line, ' ')
	t.line = p.From.AppendTo(t.line)
	t.line = append(t.line, '>')
	t.line = p.To.AppendTo(t.line)
	t.line = append(t.line, ' ')
	t.line = strconv.AppendInt(t.line, int64(len(p.Data)), 10)
	t.line = append(t.line, " ecn="...)
	t.line = strconv.AppendUint(t.line, uint64(p.ECN), 10)
	t.line = append(t.line, ' ')
	sum := fnv.New32a()
	sum.Write(p.Data)
	t.line = hex.AppendEncode(t.line, sum.Sum(nil))
	t.line = append(t.line, ' ')
	if t.describe != nil {
		t.line = append(t.line, t.describe(p.Data)...)
	} else {
		t.line = hex.AppendEncode(t.line, p.Data[:min(shown, len(p.Data))])
	}
	t.end()
}

func (t *tracer) note(what, where string) {
	t.begin(what, where)
	t.end()
}

func (t *tracer) begin(what, where string) {
	now := t.net.now
	t.line = strconv.AppendInt(t.line[:0], int64(now/time.Second), 10)
	fraction := strconv.Itoa(int(now%time.Second + time.Second)) // keeps leading zeros
	t.line = append(t.line, '.')
	t.line = append(t.line, fraction[1:]...)
	t.line = append(t.line, ' ')
	t.line = append(t.line, what...)
	t.line = append(t.line, ' ')
	t.line = append(t.line, where...)
}

func (t *tracer) end() {
	if _, err := t.w.Write(append(t.line, '\n')); err != nil {
		t.net.tracer = nil
	}
}
