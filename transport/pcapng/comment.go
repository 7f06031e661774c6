package pcapng

import (
	"fmt"
	"reflect"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// comments are what a packet alone does not show.
func comments(f *transport.Frame) (list []string) {
	if f.Missed > 0 {
		list = append(list, fmt.Sprintf("%d before this were not captured: the buffer was full", f.Missed))
	}
	if f.Waited > 0 {
		list = append(list, "read "+f.Waited.Round(time.Microsecond).String()+" after it had arrived")
	}
	switch {
	case f.Direction == transport.Undelivered:
		list = append(list, fmt.Sprintf("not delivered: %v", f.Err))
	case f.Size == len(f.Data):
		if err := flaw(f.Data); err != nil {
			list = append(list, fmt.Sprintf("dropped by its receiver: %v", err))
		}
	}
	return list
}

// flaw is why a receiver drops a datagram whoever sent it, or what is left of it.
func flaw(b []byte) error {
	var h wire.Header
	rest, err := h.Parse(b)
	if err != nil {
		return err
	}
	if h.Flags&wire.FlagChecksum != 0 {
		if err := wire.Verify(b); err != nil {
			return err
		}
	}
	if h.Flags&wire.FlagSealed != 0 {
		return nil // what is sealed only its receiver knows
	}
	var m wire.Message
	for h.Type == wire.Data && len(rest) > 0 {
		if rest, err = m.Parse(rest); err != nil {
			return err
		}
	}
	return nil
}

// causes are the counters of [transport.Stats] that count what was dropped.
var causes = []struct{ field, words string }{
	{"RxTruncated", "longer than the receive buffer"},
	{"RxMalformed", "not well-formed"},
	{"RxOverflow", "lost before us: socket buffer or ring full"},
	{"TxTooLarge", "too large for device or path"},
	{"TxRefused", "refused by kernel or device"},
	{"TxUnresolved", "neighbour not known yet"},
}

// drops says what a transport dropped between two looks at its counters.
func drops(before, after *transport.Stats) (list []string) {
	b, a := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	for _, cause := range causes {
		if n := a.FieldByName(cause.field).Uint() - b.FieldByName(cause.field).Uint(); n > 0 {
			list = append(list, fmt.Sprintf("dropped by the transport, up to here: %d (%s: %s)", n, cause.field, cause.words))
		}
	}
	return list
}
