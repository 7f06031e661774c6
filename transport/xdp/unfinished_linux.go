package xdp

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/arena"
	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/transport"
)

// A kernel that sends by a virtual device leaves work to it: the checksum, and with
// UDP_SEGMENT the cutting of one packet into many datagrams. In native mode the driver
// has the sender do that itself. In generic mode it is still undone when the program
// sees the packet, which would be one datagram where it fits a frame and none where it
// does not. So the program passes on what has no whole checksum, and it is read from
// the sockets that hold our ports, as by any program.

const (
	// unfinishedMessages is how many are read in a call.
	unfinishedMessages = 8
	// passedLooks is how often there is a look for what the program has passed on: it
	// is on its way through the kernel, where some is lost or not for us.
	passedLooks = 64
	// unfinishedBuffer is the room that such a socket asks for, in bytes.
	unfinishedBuffer = 8 << 20
)

const none = ^uint32(0)

// atSocket is in the handle of a datagram that was read from a socket; the rest of it is a
// buffer.
const atSocket = 1 << 62

// unfinished reads those of a queue. All is the owner's.
type unfinished struct {
	events int // an epoll descriptor: of the queue's AF_XDP socket, and of what is read here
	ring   int // the former
	zones  udpsock.Zones

	passed *atomic.Uint64 // counts what the program has passed on, to any queue
	seen   uint64         // of those
	due    uint64         // and not yet read, as far as is known
	looks  int            // for them that are left

	// The kernel's view.
	ready   [2]unix.EpollEvent
	msgs    [unfinishedMessages]unix.Mmsghdr
	iovs    [unfinishedMessages]unix.Iovec
	names   [unfinishedMessages]udpsock.Sockaddr
	control [unfinishedMessages][udpsock.RxControl]byte

	buffer [unfinishedMessages]uint32 // that each message reads into, or none
	memory *arena.Arena
	free   []uint32
	views  []uint32 // of each buffer, not yet released

	port          uint16 // that the messages of the last call came to
	next, arrived int    // of those: to be cut next, and all
	cut           udpsock.Burst
}

// newUnfinished prepares to read from sockets, for a caller who holds so many datagrams at most.
func newUnfinished(p *port, ring, held int) (_ *unfinished, err error) {
	u := &unfinished{ring: ring, passed: p.count.number(), seen: p.count.number().Load(), zones: udpsock.Zones{uint32(p.device.index): ""}}
	if u.events, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("xdp: %w", os.NewSyscallError("epoll_create1", err))
	}
	if err := u.read(ring, 0); err != nil {
		return nil, errors.Join(err, unix.Close(u.events))
	}
	buffers := held + unfinishedMessages
	if u.memory, err = arena.New(buffers * udpsock.Stride(udpsock.RxAggregate)); err != nil {
		return nil, errors.Join(err, unix.Close(u.events))
	}
	u.views = make([]uint32, buffers)
	for b := range uint32(buffers) {
		u.free = append(u.free, b)
	}
	for i := range u.msgs {
		h := &u.msgs[i].Hdr
		h.Name, h.Iov, h.Control = u.names[i].Ptr(), &u.iovs[i], &u.control[i][0]
		h.SetIovlen(1)
		u.iovs[i].SetLen(udpsock.RxAggregate)
		u.buffer[i] = none
	}
	return u, nil
}

// close gives everything back but the sockets.
func (u *unfinished) close() error {
	u.memory.Free()
	return os.NewSyscallError("close", unix.Close(u.events))
}

// read has u read a socket, which is at a port, until that is closed.
func (u *unfinished) read(fd int, port uint16) error {
	event := &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd), Pad: int32(port)}
	if err := unix.EpollCtl(u.events, unix.EPOLL_CTL_ADD, fd, event); err != nil {
		return fmt.Errorf("xdp: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

// recv fills pkts from the front with datagrams that were sent to such addresses.
func (u *unfinished) recv(pkts []transport.RxPacket, ours *view) (n, bytes int) {
	for n < len(pkts) && u.arrives(ours) {
		k, b := u.cut.Cut(pkts[n:])
		for i := n; i < n+k; i++ {
			pkts[i].Port = u.port
		}
		n += k
		bytes += b
	}
	return n, bytes
}

// arrives tells whether cut has a datagram to such addresses, after a look for one where
// the program says that it passed some on.
func (u *unfinished) arrives(ours *view) bool {
	if passed := u.passed.Load(); passed != u.seen {
		u.due += passed - u.seen
		u.seen, u.looks = passed, passedLooks
	}
	for {
		if u.taken(ours) {
			return true
		}
		if u.due == 0 || u.full() {
			return false
		}
		if u.receive(); u.arrived == 0 {
			if u.looks--; u.looks <= 0 {
				u.due = 0
			}
			return false
		}
		u.due -= min(u.due, uint64(u.arrived))
		u.looks = passedLooks
	}
}

// look has the next call look at the sockets, whatever the program says.
func (u *unfinished) look() { u.due, u.looks = max(u.due, 1), max(u.looks, 1) }

// taken makes cut a message with something left, if there is one.
func (u *unfinished) taken(ours *view) bool {
	for !u.cut.Left() {
		if u.next == u.arrived {
			return false
		}
		i := u.next
		u.next++
		m, b := &u.msgs[i], u.buffer[i]
		data := u.memory.Bytes()[int(b)*udpsock.Stride(udpsock.RxAggregate):][:m.Len]
		control := u.control[i][:min(int(m.Hdr.Controllen), udpsock.RxControl)]
		u.cut.Fill(data, u.names[i].AddrPort(u.zones), control, u.zones, atSocket|uint64(b), time.Time{})
		if m.Hdr.Flags&unix.MSG_TRUNC != 0 || !slices.Contains(ours.addrs, u.cut.To()) {
			u.cut = udpsock.Burst{} // a broadcast, or to an address that is not served: the message keeps its buffer
			continue
		}
		u.buffer[i] = none
		u.views[b] = uint32(u.cut.Packets())
	}
	return true
}

// receive reads one of the sockets that have something, once all that was read before
// is taken.
func (u *unfinished) receive() {
	u.next, u.arrived = 0, 0
	armed := u.arm()
	if armed == 0 {
		return
	}
	n, _ := unix.EpollWait(u.events, u.ready[:], 0)
	for _, e := range u.ready[:max(0, n)] {
		if int(e.Fd) == u.ring {
			continue
		}
		if got, errno := udpsock.Receive(int(e.Fd), u.msgs[:armed]); errno == 0 { // what else it has to tell the follower hears
			u.arrived, u.port = got, uint16(e.Pad)
			return
		}
	}
}

// arm prepares messages for a call and returns how many have a buffer.
func (u *unfinished) arm() int {
	for i := range u.msgs {
		if u.buffer[i] == none {
			last := len(u.free) - 1
			if last < 0 {
				return i
			}
			b := u.free[last]
			u.free = u.free[:last]
			u.buffer[i], u.iovs[i].Base = b, &u.memory.Bytes()[int(b)*udpsock.Stride(udpsock.RxAggregate)]
		}
		h := &u.msgs[i].Hdr
		h.Namelen = udpsock.SizeofSockaddr
		h.SetControllen(udpsock.RxControl)
	}
	return len(u.msgs)
}

// full tells whether all buffers are held: nothing can be read until one is given back.
func (u *unfinished) full() bool { return u.buffer[0] == none && len(u.free) == 0 }

// put takes back a datagram.
func (u *unfinished) put(handle uint64) {
	b := uint32(handle)
	if u.views[b]--; u.views[b] == 0 {
		u.free = append(u.free, b)
	}
}
