package core

import (
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// assembly puts the fragments of one message together.
type assembly struct {
	buf     []byte
	got     []uint64 // bitmap of fragments
	missing int
	stride  int
	total   int              // bytes of the message
	next    int              // the fragment behind the one that came last
	lead    wire.MessageLead // of that one
}

// begin starts over for the message that m is a fragment of, in buf.
func (a *assembly) begin(m *wire.Message, buf []byte) {
	a.buf = buf
	a.restart(int(m.Stride), len(buf))
}

func (a *assembly) restart(stride, total int) {
	a.stride, a.total, a.next = stride, total, 0
	a.missing = (total + stride - 1) / stride
	words := (a.missing + 63) / 64
	if cap(a.got) < words {
		a.got = make([]uint64, words)
	}
	a.got = a.got[:words]
	clear(a.got)
}

// add takes in a fragment and says whether the message is complete. A sender
// whose MTU shrank cuts its message anew in smaller pieces; older, larger ones
// that are still under way are then of no use.
func (a *assembly) add(m *wire.Message) (complete bool) {
	if int(m.Total) != len(a.buf) || int(m.Stride) > a.stride {
		return false
	}
	if int(m.Stride) < a.stride {
		a.restart(int(m.Stride), len(a.buf))
	}
	if a.note(m) {
		copy(a.buf[int(m.Index)*a.stride:], m.Body)
	}
	return a.missing == 0
}

// note says whether a fragment is new.
func (a *assembly) note(m *wire.Message) bool {
	word, bit := &a.got[m.Index/64], uint64(1)<<(m.Index%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	a.missing--
	a.next, a.lead = int(m.Index)+1, m.Lead()
	return true
}

// expects is Expects of the fragment behind the one that came last. Nothing has arrived
// of that, so its place may be written to whatever comes.
func (a *assembly) expects(n int) (memory []byte, head int) {
	if a.missing == 0 || a.next == 0 || a.next/64 >= len(a.got) || a.got[a.next/64]>>(a.next%64)&1 != 0 {
		return nil, 0
	}
	at := a.next * a.stride
	length := min(a.stride, a.total-at)
	if head = n - length; length <= 0 || head < wire.MessageHeaderSize || head > packet.MaxApart || at+length > len(a.buf) {
		return nil, 0
	}
	return a.buf[at-head : at+length : at+length], head
}

// recycleAssembly takes back an assembly whose buffer has found its owner.
func (m *mux) recycleAssembly(a **assembly) {
	m.filled(*a)
	(*a).buf = nil
	m.e.assemblies.put(*a)
	*a = nil
}

// filled takes in that the message of a is over: its memory, and a itself, may be others'.
func (m *mux) filled(a *assembly) {
	if m.filling == a {
		m.filling = nil
	}
}
