package iouring

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/internal/uring"
	"github.com/peregrine-rpc/peregrine/transport"
)

// flightPackets bounds the packets of a flight.
const flightPackets = 64

// flight is messages that are with the kernel together, and the packets that they
// are made of, until all of them have completed.
type flight struct {
	udpsock.Messages
	index int
	// out is how many completions are still to come.
	out int

	// pkts are the caller's own until its Send returns, and kept from then on.
	pkts []transport.TxPacket
	kept [flightPackets]transport.TxPacket
	// cargo is what is known of each packet; nil if they are new and numbered from
	// number on.
	cargo  []cargo
	number uint64
	// first is where each message's packets begin; awaited, that a completion is
	// still to come; lent, that it is sent without a copy; moved, that its packets
	// have left.
	first                [udpsock.MaxMessages]int
	awaited, lent, moved [udpsock.MaxMessages]bool
}

// keep takes the packets from the caller, unless it has done so.
func (f *flight) keep() {
	if len(f.pkts) == 0 || &f.pkts[0] == &f.kept[0] {
		return
	}
	n := copy(f.kept[:], f.pkts)
	for i := range f.pkts {
		f.pkts[i].Head, f.pkts[i].Payload = nil, nil
	}
	f.pkts = f.kept[:n]
}

// of is what is known of packet j.
func (f *flight) of(j int) cargo {
	if f.cargo == nil {
		return cargo{number: f.number + uint64(j)}
	}
	return f.cargo[j]
}

// cargo is what is known of a packet besides itself.
type cargo struct {
	number uint64 // in the order taken
	// tries is how often the kernel has refused it. plain says that it refused it as
	// a part of a run; lacked, that it may be unable to take any; copied, that it
	// refused to send it without a copy.
	tries                 uint8
	plain, lacked, copied bool
}

// forgotten is a route that is given back when that many packets have completed.
type forgotten struct {
	route transport.Route
	after uint64
}

// parcel is a packet that is to be sent again.
type parcel struct {
	transport.TxPacket
	cargo
}

// zcPieces is how many pieces of memory, none of which crosses a page, the kernel
// sends without a copy. What happens to lie together counts as one, but that is not
// to be relied on.
const zcPieces = 17

// zeroCopies tells whether message i is worth sending without a copy, and can be.
func (f *flight) zeroCopies(i, threshold int) bool {
	at := f.first[i]
	if threshold == 0 || f.of(at).copied || f.Joined(i) {
		return false
	}
	payload, pieces := 0, 0
	for j := at; j < at+f.Runs[i].Packets; j++ {
		p := &f.pkts[j]
		payload += len(p.Payload)
		pieces += pages(p.Head) + pages(p.Payload)
	}
	return payload >= threshold && pieces <= zcPieces
}

// pages is how many pages memory touches.
func pages(memory []byte) int {
	if len(memory) == 0 {
		return 0
	}
	first := uring.AddressOf(memory)
	return int((first+uint64(len(memory))-1)/pageSize - first/pageSize + 1)
}

var pageSize = uint64(os.Getpagesize())

// prepare makes e send message i.
func (f *flight) prepare(e *uring.SQE, i, zeroCopy int) {
	f.lent[i] = f.zeroCopies(i, zeroCopy)
	switch h := &f.Msgs[i].Hdr; {
	case f.lent[i]:
		e.SendMsgZC(h, unix.MSG_DONTWAIT)
	case h.Iovlen == 1 && h.Controllen == 0:
		e.SendTo(h.Iov, h.Name, h.Namelen, unix.MSG_DONTWAIT) // for less
	default:
		e.SendMsg(h, unix.MSG_DONTWAIT)
	}
	e.Flags |= uring.FixedFile
	e.UserData = dataSend | uint64(f.index)<<8 | uint64(i)
}
