package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// TraceSize is the length of a Trace in a message, in bytes.
const TraceSize = 16 + 8 + 1

// Trace is where a call belongs in a distributed trace, as W3C Trace Context has it:
// what the traceparent of HTTP says. The zero Trace is none.
type Trace struct {
	// TraceID names the trace, and SpanID what in it made the call. Neither is 0.
	TraceID [16]byte
	SpanID  [8]byte
	// Flags are trace-flags: bit 0 says that the caller records the trace.
	Flags uint8
}

// IsValid says whether t is a trace.
func (t Trace) IsValid() bool { return t.TraceID != [16]byte{} && t.SpanID != [8]byte{} }

// String is the traceparent.
func (t Trace) String() string { return fmt.Sprintf("00-%x-%x-%02x", t.TraceID, t.SpanID, t.Flags) }

// ErrTrace is what [ParseTrace] says of anything but a traceparent.
var ErrTrace = errors.New("this is no traceparent: it is 00, the trace's ID of 32 digits, the span's of 16 and flags of 2, with dashes between")

// ParseTrace reads a traceparent, also one of a version to come, of which it leaves out
// what is new.
func ParseTrace(traceparent string) (t Trace, err error) {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	version, later, _ := strings.Cut(traceparent, "-")
	if len(traceparent) < length || len(version) != 2 || version == "ff" || strings.ToLower(traceparent) != traceparent {
		return Trace{}, ErrTrace
	}
	if rest := traceparent[length:]; rest != "" && (version == "00" || rest[0] != '-') {
		return Trace{}, ErrTrace
	}
	fields := strings.SplitN(later[:length-3], "-", 3)
	var of [1]byte
	if len(fields) != 3 || !digits(of[:], version) || !digits(t.TraceID[:], fields[0]) || !digits(t.SpanID[:], fields[1]) || !digits(of[:], fields[2]) || !t.IsValid() {
		return Trace{}, ErrTrace
	}
	t.Flags = of[0]
	return t, nil
}

// digits decodes hexadecimal of just the length of b.
func digits(b []byte, text string) bool {
	if len(text) != 2*len(b) {
		return false
	}
	_, err := hex.Decode(b, []byte(text))
	return err == nil
}

func (t *Trace) put(b []byte) {
	_ = b[TraceSize-1]
	copy(b, t.TraceID[:])
	copy(b[16:], t.SpanID[:])
	b[24] = t.Flags
}

func (t *Trace) parse(b []byte) {
	t.TraceID, t.SpanID, t.Flags = [16]byte(b[:16]), [8]byte(b[16:24]), b[24]
}
