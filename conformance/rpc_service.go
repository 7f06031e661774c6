package conformance

import (
	"encoding/binary"
	"fmt"

	"github.com/peregrine-rpc/peregrine/core"
)

// The methods of a service.
const (
	echo   = iota + 1 // replies what came
	work              // an order
	ignore            // deferred, and never answered
)

// order is the head of a request for work. What follows it are the bytes that
// belong to its id, and the reply those that belong to ^id.
type order struct {
	id    uint64 // number of its book, and index in it
	reply uint32 // bytes
	later bool   // answered in another turn of the loop
}

const orderSize = 16

func (o order) put(b []byte) {
	binary.LittleEndian.PutUint64(b, o.id)
	binary.LittleEndian.PutUint32(b[8:], o.reply)
	binary.LittleEndian.PutUint32(b[12:], 0)
	if o.later {
		b[12] = 1
	}
	fill(b[orderSize:], o.id)
}

func (o *order) parse(b []byte) bool {
	if len(b) < orderSize {
		return false
	}
	o.id = binary.LittleEndian.Uint64(b)
	o.reply = binary.LittleEndian.Uint32(b[8:])
	o.later = b[12] == 1
	return filled(b[orderSize:], o.id)
}

// book counts how often each order of a load was executed.
type book []uint8

// service answers requests at a host. Its fields are the loop's.
type service struct {
	*host
	setup    setup
	books    map[uint32]book // by number
	spare    [][]byte        // memory for replies
	ignored  []*core.Request
	canceled int // of those ignored
}

// serve starts a host with a service.
func (s *stage) serve(side Side, o setup) *service {
	s.Helper()
	return s.serveWith(side, o, map[uint32]book{})
}

// succeed starts the successor of a service that has ended, at its address.
func (s *stage) succeed(v *service) *service {
	s.Helper()
	o := v.setup
	o.addr = v.tr.LocalAddr()
	return s.serveWith(v.side, o, v.books)
}

func (s *stage) serveWith(side Side, o setup, books map[uint32]book) *service {
	s.Helper()
	v := &service{host: s.open(side, o), setup: o, books: books}
	v.engine.Handle(echo, func(r *core.Request) { v.answer(r, r.Data) })
	v.engine.Handle(work, v.work)
	v.engine.Handle(ignore, v.ignore)
	go v.run()
	return v
}

// work executes an order.
func (v *service) work(r *core.Request) {
	var o order
	if !o.parse(r.Data) {
		v.wrong("a request of %d bytes arrived changed", len(r.Data))
		r.Fail(core.DataLoss, "request is damaged")
		return
	}
	page, index := v.books[uint32(o.id>>32)], uint32(o.id)
	if int(index) >= len(page) {
		v.wrong("request %#x was executed after its client had ended", o.id)
		r.Fail(core.NotFound, "no such book")
		return
	}
	if page[index]++; page[index] > 1 {
		v.wrong("request %#x was executed %d times", o.id, page[index])
	}
	if !o.later {
		v.fulfil(r, o)
		return
	}
	r.Defer()
	v.post(func() {
		if !filled(r.Data[orderSize:], o.id) {
			v.wrong("request %#x changed while its answer was deferred", o.id)
		}
		v.fulfil(r, o)
	})
}

func (v *service) fulfil(r *core.Request, o order) {
	reply := v.memory(int(o.reply))
	fill(reply, ^o.id)
	v.reply(r, reply)
}

// answer replies with a copy of data.
func (v *service) answer(r *core.Request, data []byte) {
	reply := v.memory(len(data))
	copy(reply, data)
	v.reply(r, reply)
}

// reply gives reply as the answer, and scrawls over it as soon as that is
// allowed.
func (v *service) reply(r *core.Request, reply []byte) {
	r.Released = func() {
		scrawl(reply)
		v.spare = append(v.spare, reply)
	}
	r.Reply(reply)
}

// memory returns n bytes with arbitrary contents.
func (v *service) memory(n int) []byte {
	last := len(v.spare) - 1
	if last < 0 {
		return make([]byte, n)
	}
	b := v.spare[last]
	v.spare = v.spare[:last]
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

func (v *service) ignore(r *core.Request) {
	r.Defer()
	v.ignored = append(v.ignored, r)
	r.Canceled = core.CancelFunc(func() { v.canceled++ })
}

// holds waits until the clients of count ignored requests wait for them.
func (v *service) holds(count int) {
	v.s.Helper()
	v.ignores(func(waiting int) bool { return waiting == count }, "%d ignored requests were held", count)
}

// gaveUp waits until no client waits for an ignored request any more, and
// answers them now that it is too late.
func (v *service) gaveUp() {
	v.s.Helper()
	v.ignores(func(waiting int) bool { return waiting == 0 }, "clients gave all ignored requests up")
	v.do(func() {
		for _, r := range v.ignored {
			r.Reply(r.Data)
		}
		v.ignored, v.canceled = nil, 0
	})
}

func (v *service) ignores(enough func(waiting int) bool, what string, args ...any) {
	v.s.Helper()
	var waiting int
	v.s.eventually(func() bool {
		v.do(func() { waiting = len(v.ignored) - v.canceled })
		return enough(waiting)
	}, func() string { return fmt.Sprintf("%d are held", waiting) }, fmt.Sprintf(what, args...))
}
