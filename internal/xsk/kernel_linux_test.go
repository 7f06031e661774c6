package xsk

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// What is told here is about the kernel: each is something that a backend relies
// on, and where a good guess would be wrong.

// cable is a veth pair in a namespace of the test's own.
type cable struct {
	t     *testing.T
	space *netns.Namespace
	ends  [2]int // indices of devices
}

var names = [2]string{"left", "right"}

func newCable(t *testing.T, queues int) *cable {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("AF_XDP takes root")
	}
	space, err := netns.New()
	if errors.Is(err, netns.ErrNotPermitted) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, space.Close()) })
	c := &cable{t: t, space: space}
	c.do(func() error {
		if err := netns.Veth(1500, netns.Port{Name: names[0], Queues: queues}, netns.Port{Name: names[1], Queues: queues}); err != nil {
			return err
		}
		for i, name := range names {
			l, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			c.ends[i] = l.Index
		}
		return nil
	})
	return c
}

func (c *cable) do(f func() error) {
	c.t.Helper()
	require.NoError(c.t, c.space.Do(f))
}

// set changes a device.
func (c *cable) set(end int, how func(netlink.Link) error) {
	c.t.Helper()
	c.do(func() error {
		l, err := netlink.LinkByIndex(c.ends[end])
		if err != nil {
			return err
		}
		return how(l)
	})
}

// party is a socket at one end of a cable, and the frames that it has.
type party struct {
	*Socket
	t      *testing.T
	umem   *Umem
	free   Frames
	frames int
}

const ringSize = 64

var ringSizes = Sizes{ringSize, 4 * ringSize, ringSize, ringSize}

func newUmem(t *testing.T, frames int) *Umem {
	t.Helper()
	u, err := NewUmem(frames, SmallFrame)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, u.Close()) })
	return u
}

// open makes a socket at an end, unbound, that has n frames from first on.
func (c *cable) open(u *Umem, other *party, first, n int, sizes Sizes) *party {
	c.t.Helper()
	p := &party{t: c.t, umem: u, free: u.Frames(first, n), frames: n}
	c.do(func() (err error) {
		var s *Socket
		if other != nil {
			s = other.Socket
		}
		p.Socket, err = Open(u, s, sizes)
		return err
	})
	c.t.Cleanup(func() { require.NoError(c.t, p.Close()) })
	return p
}

// party is open and bound.
func (c *cable) party(end int, u *Umem, other *party, first, n int) *party {
	c.t.Helper()
	p := c.open(u, other, first, n, ringSizes)
	require.NoError(c.t, p.Bind(c.ends[end], 0, unix.XDP_COPY|unix.XDP_USE_NEED_WAKEUP))
	return p
}

// receive leads all that arrives at queue 0 of an end to p.
func (c *cable) receive(end int, p *party) {
	c.t.Helper()
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 4})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, sockets.Close()) })
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 16, asm.Word),
		asm.LoadMapPtr(asm.R1, sockets.FD()),
		asm.Mov.Imm(asm.R3, 2),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, program.Close()) })
	c.do(func() error {
		attached, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: c.ends[end], Flags: link.XDPDriverMode})
		if err == nil {
			c.t.Cleanup(func() { require.NoError(c.t, attached.Close()) })
		}
		return err
	})
	require.NoError(c.t, sockets.Put(uint32(0), uint32(p.FD())))
	p.refill()
}

func (p *party) refill() {
	for range min(p.Fill.Room(), p.free.Len()) {
		p.Fill.Put(p.free.Take())
	}
	p.Fill.Publish()
}

// fill puts n packets into the TX ring, numbered in their last byte.
func (p *party) fill(n int) {
	for i := range n {
		addr := p.free.Take()
		clear(p.umem.Bytes(addr, 60))
		p.umem.Bytes(addr, 60)[59] = byte(i)
		p.TX.Put(Desc{Addr: addr, Len: 60})
	}
	p.TX.Publish()
}

func (p *party) reap() (n int) {
	for n = p.Completion.Available(); p.Completion.Available() > 0; {
		p.free.Put(p.Completion.Take())
	}
	p.Completion.Free()
	return n
}

// within waits for what must come.
func within(t *testing.T, condition func() bool) {
	t.Helper()
	for began := time.Now(); !condition(); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), 30*time.Second)
	}
}

// Both ends' sockets have one memory, and packets are told by the address of their
// frame: whatever order things happen in, each frame is in exactly one place.
func TestEachFrameIsInOnePlace(t *testing.T) {
	c := newCable(t, 1)
	const each = 4 * ringSize
	u := newUmem(t, 2*each)
	left := c.party(0, u, nil, 0, each)
	right := c.party(1, u, left, each, each)
	c.receive(0, left)
	c.receive(1, right)
	random := rand.New(rand.NewPCG(1, 2))
	held := map[*party][]uint64{}
	for range 3000 {
		p := [2]*party{left, right}[random.IntN(2)]
		switch random.IntN(5) {
		case 0: // all that the ring takes now, and the kernel maybe later
			p.fill(min(random.IntN(20), p.TX.Room(), p.free.Len()))
		case 1:
			p.Kick()
		case 2:
			for range min(random.IntN(20), p.RX.Available()) {
				held[p] = append(held[p], p.RX.Take().Addr)
			}
			p.RX.Free()
		case 3:
			for n := min(random.IntN(20), len(held[p])); n > 0; n-- {
				p.free.Put(held[p][0])
				held[p] = held[p][1:]
			}
			p.refill()
		case 4:
			p.reap()
		}
		requireEachOnce(t, u, held, left, right)
	}
}

// requireEachOnce looks for every frame wherever it may be.
func requireEachOnce(t *testing.T, u *Umem, held map[*party][]uint64, all ...*party) {
	t.Helper()
	found := make([]int, len(u.bytes)/u.frameSize)
	for _, p := range all {
		places := append(append([]uint64{}, p.free.free...), held[p]...)
		for i := *p.Fill.consumer; i != *p.Fill.producer; i++ {
			places = append(places, p.Fill.entries[i&p.Fill.mask])
		}
		for i := *p.RX.consumer; i != *p.RX.producer; i++ {
			places = append(places, p.RX.entries[i&p.RX.mask].Addr)
		}
		for i := *p.TX.consumer; i != *p.TX.producer; i++ {
			places = append(places, p.TX.entries[i&p.TX.mask].Addr)
		}
		for i := *p.Completion.consumer; i != *p.Completion.producer; i++ {
			places = append(places, p.Completion.entries[i&p.Completion.mask])
		}
		for _, addr := range places {
			found[int(addr)/u.frameSize]++
		}
	}
	for frame, n := range found {
		if n != 1 {
			require.Failf(t, "not in exactly one place", "frame %d is in %d", frame, n)
		}
	}
}

// What was received at one device is sent by another as it lies: one memory serves
// both. The copy at the end is for the test to look at.
func TestAReceivedFrameIsSentByAnotherDevice(t *testing.T) {
	first, second := newCable(t, 1), newCable(t, 1)
	u := newUmem(t, 8*ringSize)
	sender := first.party(0, u, nil, 0, ringSize)
	in := first.party(1, u, sender, ringSize, ringSize)
	out := second.party(0, u, sender, 2*ringSize, ringSize)
	receiver := second.party(1, u, sender, 3*ringSize, ringSize)
	first.receive(1, in)
	second.receive(1, receiver)

	sender.fill(1)
	addr := sender.TX.entries[0].Addr
	copy(u.Bytes(addr, 60)[20:], "as it lies")
	sender.Kick()
	within(t, func() bool { return in.RX.Available() == 1 })
	got := in.RX.Take()
	in.RX.Free()

	out.TX.Put(Desc{Addr: got.Addr, Len: got.Len})
	out.TX.Publish()
	out.Kick()
	within(t, func() bool { return out.Completion.Available() == 1 })
	require.Equal(t, got.Addr, out.Completion.Take(), "the same frame comes back")
	out.Completion.Free()
	within(t, func() bool { return receiver.RX.Available() == 1 })
	require.Equal(t, "as it lies", string(u.Bytes(receiver.RX.Take().Addr, 60)[20:30]))
}

func TestAQueueStaysTakenWhileOneRingIsMapped(t *testing.T) {
	for ring := range 4 {
		c := newCable(t, 1)
		first := c.party(0, newUmem(t, ringSize), nil, 0, ringSize)
		forgotten := first.areas[ring]
		first.areas[ring] = nil
		require.NoError(t, first.Close())

		second := c.open(newUmem(t, ringSize), nil, 0, ringSize, ringSizes)
		err := second.bindWithin(time.Second, c.ends[0], 0, unix.XDP_COPY)
		require.ErrorIs(t, err, unix.EBUSY, "ring %d is mapped", ring)
		require.NoError(t, unix.Munmap(forgotten))
		require.NoError(t, second.Bind(c.ends[0], 0, unix.XDP_COPY))
	}
}

func TestMemoryThatWasGivenBackHarmsNobody(t *testing.T) {
	t.Parallel()
	u, err := NewUmem(2, SmallFrame)
	require.NoError(t, err)
	late := u.Bytes(SmallFrame, 4)
	copy(late, "word")
	require.NoError(t, u.Close())
	require.Equal(t, make([]byte, 4), late)
	copy(late, "word")
	require.NoError(t, u.Close(), "closing twice is no error")
}

func TestAQueueIsFreeSoonAfterClose(t *testing.T) {
	c := newCable(t, 1)
	for range 10 {
		p := c.party(0, newUmem(t, ringSize), nil, 0, ringSize)
		require.NoError(t, p.Close())
		require.NoError(t, p.Close(), "closing twice is no error")
	}
}

func TestAKickSends32UnlessTheBudgetIsRaised(t *testing.T) {
	c := newCable(t, 1)
	p := c.party(0, newUmem(t, 4*ringSize), nil, 0, 4*ringSize)
	p.fill(ringSize)
	require.Equal(t, unix.EAGAIN, p.Kick())
	require.Equal(t, ringSize-32, p.TX.Left())
	for range 3 { // 32, and none
		p.Kick()
	}
	require.Zero(t, p.TX.Left())
	require.Equal(t, ringSize, p.reap())
	if !p.RaiseBudget(ringSize) {
		t.Skip("this kernel has no XDP_MAX_TX_SKB_BUDGET (Linux 6.17)")
	}
	p.fill(ringSize)
	require.Zero(t, p.Kick())
	require.Zero(t, p.TX.Left())
	require.False(t, p.RaiseBudget(2*ringSize), "no more than the ring has")
}

func TestWithoutRoomForCompletionsNothingIsSent(t *testing.T) {
	c := newCable(t, 1)
	p := c.open(newUmem(t, 4*ringSize), nil, 0, 4*ringSize, Sizes{ringSize, 16, ringSize, ringSize})
	require.NoError(t, p.Bind(c.ends[0], 0, unix.XDP_COPY|unix.XDP_USE_NEED_WAKEUP))
	p.fill(20)
	p.Kick()
	require.Equal(t, unix.EAGAIN, p.Kick())
	require.Equal(t, 4, p.TX.Left())
	fds := []unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n, "though it is said to be writable")
	require.Equal(t, 16, p.reap())
	require.Zero(t, p.Kick())
	require.Zero(t, p.TX.Left())
}

func TestAnEmptyPacketStopsTheOthers(t *testing.T) {
	c := newCable(t, 1)
	p := c.party(0, newUmem(t, 2*ringSize), nil, 0, 2*ringSize)
	p.TX.Put(Desc{Addr: p.free.Take(), Len: 0})
	p.fill(3)
	require.Zero(t, p.Kick())
	require.NotZero(t, p.TX.Left(), "the call succeeds, and what is behind is not sent")
}

func TestWaitingForPacketsSendsToo(t *testing.T) {
	c := newCable(t, 1)
	p := c.party(0, newUmem(t, 2*ringSize), nil, 0, 2*ringSize)
	p.fill(3)
	fds := []unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}
	_, err := unix.Poll(fds, 0)
	require.NoError(t, err)
	require.Zero(t, p.TX.Left())
}

func TestADeviceThatIsDownSendsLater(t *testing.T) {
	c := newCable(t, 1)
	p := c.party(0, newUmem(t, 2*ringSize), nil, 0, 2*ringSize)
	c.set(0, netlink.LinkSetDown)
	p.fill(3)
	require.Equal(t, unix.ENETDOWN, p.Kick())
	require.Equal(t, 3, p.TX.Left())
	c.set(0, netlink.LinkSetUp)
	within(t, func() bool { p.Kick(); return p.TX.Left() == 0 })
	require.Equal(t, 3, p.reap())
}

func TestAPacketThatTheDeviceDropsIsCompleted(t *testing.T) {
	c := newCable(t, 1)
	p := c.party(0, newUmem(t, 2*ringSize), nil, 0, 2*ringSize)
	c.set(1, netlink.LinkSetDown) // no carrier
	p.fill(3)
	dropped := 0
	within(t, func() bool {
		if p.Kick() == unix.EBUSY {
			dropped++
		}
		return p.TX.Left() == 0
	})
	require.Equal(t, 3, dropped, "one a call")
	require.Equal(t, 3, p.reap())
}

func TestADeviceThatIsRemovedIsNotSeenByPoll(t *testing.T) {
	c := newCable(t, 1)
	p := c.party(0, newUmem(t, 2*ringSize), nil, 0, 2*ringSize)
	c.set(0, netlink.LinkDel)
	fds := []unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	for _, errno := range []unix.Errno{unix.ENETDOWN, 0} { // it is said once
		said, err := unix.GetsockoptInt(p.FD(), unix.SOL_SOCKET, unix.SO_ERROR)
		require.NoError(t, err)
		require.EqualValues(t, errno, said)
	}
	p.fill(1)
	require.Equal(t, unix.ENXIO, p.Kick())
}

func TestZeroCopyIsReadBack(t *testing.T) {
	c := newCable(t, 1)
	p := c.open(newUmem(t, ringSize), nil, 0, ringSize, ringSizes)
	require.ErrorIs(t, p.Bind(c.ends[0], 0, unix.XDP_ZEROCOPY), unix.EOPNOTSUPP, "veth has none")
	require.NoError(t, p.Bind(c.ends[0], 0, unix.XDP_USE_NEED_WAKEUP), "and the kernel copies where it may choose")
	zeroCopy, err := p.ZeroCopy()
	require.NoError(t, err)
	require.False(t, zeroCopy)
	require.False(t, p.Fill.NeedsWakeup(), "on veth it is never set")
	require.True(t, p.TX.NeedsWakeup(), "and this always")
}

func TestTheSocketOfAnotherQueueGetsNothing(t *testing.T) {
	c := newCable(t, 2)
	u := newUmem(t, 4*ringSize)
	sender := c.party(0, u, nil, 0, ringSize)
	other := c.open(u, sender, ringSize, ringSize, ringSizes)
	require.NoError(t, other.Bind(c.ends[1], 1, 0))
	c.receive(1, other) // in the slot of queue 0
	overflows := other.Overflows()
	sender.fill(3)
	within(t, func() bool { sender.Kick(); return sender.reap() > 0 })
	runtime.Gosched()
	require.Zero(t, other.RX.Available())
	require.Equal(t, overflows, other.Overflows(), "nor is it counted")
}

// What a namespace's last name and thread leave behind lives on with the socket.
func TestASocketKeepsItsNamespaceAlive(t *testing.T) {
	c := newCable(t, 1)
	u := newUmem(t, 4*ringSize)
	sender := c.party(0, u, nil, 0, ringSize)
	receiver := c.party(1, u, sender, ringSize, ringSize)
	c.receive(1, receiver)
	other, err := netns.New() // for the cleanup to close
	require.NoError(t, err)
	last := *c.space
	*c.space = *other
	require.NoError(t, last.Close())
	sender.fill(3)
	require.Zero(t, sender.Kick())
	within(t, func() bool { return receiver.RX.Available() == 3 })
}

// A frame holds what is left behind the kernel's part.
func TestAPacketThatIsLongerThanAFrameIsDroppedAndCounted(t *testing.T) {
	c := newCable(t, 1)
	for end := range 2 {
		c.set(end, func(l netlink.Link) error { return netlink.LinkSetMTU(l, 3000) })
	}
	u := newUmem(t, 4*ringSize)
	long, err := NewUmem(ringSize, LargeFrame)
	require.NoError(t, err)
	defer long.Close()
	sender := c.open(long, nil, 0, ringSize, ringSizes)
	require.NoError(t, sender.Bind(c.ends[0], 0, unix.XDP_COPY))
	receiver := c.party(1, u, nil, 0, ringSize)
	c.receive(1, receiver)
	for i, size := range []uint32{SmallFrame - Reserve + 1, SmallFrame - Reserve} {
		addr := sender.free.Take()
		clear(long.Bytes(addr, int(size)))
		sender.TX.Put(Desc{Addr: addr, Len: size})
		sender.TX.Publish()
		require.Zero(t, sender.Kick())
		within(t, func() bool { return receiver.Overflows() == 1 })
		require.Equal(t, i, receiver.RX.Available())
		if i == 0 {
			continue
		}
		require.Equal(t, size, receiver.RX.Take().Len)
	}
}

func TestAFrameIsAPageAtMost(t *testing.T) {
	u, err := NewUmem(1, 2*LargeFrame)
	require.NoError(t, err)
	defer u.Close()
	c := newCable(t, 1)
	c.do(func() error {
		_, err := Open(u, nil, ringSizes)
		require.ErrorIs(t, err, unix.EINVAL)
		return nil
	})
}
