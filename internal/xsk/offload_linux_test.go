package xsk

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What a socket asks a device to do with a packet its kernel does where it copies.
func TestTheKernelCompletesAChecksumThatItIsAskedFor(t *testing.T) {
	if !CanOffloadChecksums() {
		t.Skip("this kernel takes no metadata (Linux 6.11)")
	}
	c := newCable(t, 1)
	u := newUmem(t, 4*ringSize)
	u.OffloadChecksums(true)
	sender := c.party(0, u, nil, 0, ringSize)
	receiver := c.party(1, u, sender, ringSize, ringSize)
	c.receive(1, receiver)

	d := Desc{Addr: sender.free.Take() + 128, Len: 60}
	packet := u.Bytes(d.Addr, 60)
	clear(packet)
	packet[50], packet[51] = 0x12, 0x34
	u.RequestChecksum(&d, 34, 6)
	sender.TX.Put(d)
	sender.TX.Publish()
	require.Zero(t, sender.Kick())
	within(t, func() bool { return receiver.RX.Available() == 1 })
	got := receiver.RX.Take()
	require.EqualValues(t, 0xffff-0x1234, binary.BigEndian.Uint16(u.Bytes(got.Addr, 60)[40:]))
}

// What lies beyond the packet cannot be its checksum; the kernel refuses that, and all
// behind it.
func TestARequestBeyondThePacketStopsTheOthers(t *testing.T) {
	if !CanOffloadChecksums() {
		t.Skip("this kernel takes no metadata (Linux 6.11)")
	}
	c := newCable(t, 1)
	u := newUmem(t, 4*ringSize)
	u.OffloadChecksums(true)
	p := c.party(0, u, nil, 0, ringSize)
	d := Desc{Addr: p.free.Take() + 128, Len: 60}
	clear(u.Bytes(d.Addr, 60))
	u.RequestChecksum(&d, 60, 6)
	p.TX.Put(d)
	p.TX.Publish()
	require.Equal(t, unix.EINVAL, p.Kick())
}

// Whatever arrives at a veth, it names nobody who could be polled.
func TestBusyPollingHasNobodyToPollOnVeth(t *testing.T) {
	c := newCable(t, 1)
	u := newUmem(t, 4*ringSize)
	sender := c.party(0, u, nil, 0, ringSize)
	receiver := c.party(1, u, sender, ringSize, ringSize)
	c.receive(1, receiver)
	sender.fill(1)
	sender.Kick()
	within(t, func() bool { return receiver.RX.Available() == 1 })
	require.Zero(t, receiver.Polled())
	require.NoError(t, receiver.BusyPoll(20, 64), "though the kernel takes the options")
}

// A packet longer than a frame goes out in pieces, and arrives in pieces.
func TestAPacketMayHaveSeveralFrames(t *testing.T) {
	c := newCable(t, 1)
	u := newUmem(t, 4*ringSize)
	p := c.open(u, nil, 0, ringSize, ringSizes)
	require.NoError(t, p.Bind(c.ends[0], 0, unix.XDP_COPY|unix.XDP_USE_NEED_WAKEUP|unix.XDP_USE_SG))
	first, second := p.free.Take(), p.free.Take()
	clear(u.Bytes(first, 60))
	p.TX.Put(Desc{Addr: first, Len: 600, Options: Continued})
	p.TX.Publish()
	p.Kick()
	require.Zero(t, p.reap(), "it waits for the rest")
	p.TX.Put(Desc{Addr: second, Len: 500})
	p.TX.Publish()
	within(t, func() bool { p.Kick(); return p.TX.Left() == 0 })
	require.Equal(t, 2, p.reap())
}

// A packet of more pieces than the kernel takes is gone without a word, and completed.
func TestAPacketOfTooManyFramesVanishes(t *testing.T) {
	c := newCable(t, 1)
	u := newUmem(t, 8*ringSize)
	const sg = unix.XDP_COPY | unix.XDP_USE_NEED_WAKEUP | unix.XDP_USE_SG
	p := c.open(u, nil, 0, ringSize, ringSizes)
	require.NoError(t, p.Bind(c.ends[0], 0, sg))
	receiver := c.open(u, p, ringSize, ringSize, ringSizes)
	require.NoError(t, receiver.Bind(c.ends[1], 0, sg))
	c.receive(1, receiver)
	for _, pieces := range []int{17, 19, 1} {
		for i := range pieces {
			d := Desc{Addr: p.free.Take(), Len: 60, Options: Continued}
			clear(u.Bytes(d.Addr, 60))
			if u.Bytes(d.Addr, 60)[0] = byte(pieces); i == pieces-1 {
				d.Options = 0
			}
			p.TX.Put(d)
		}
		p.TX.Publish()
		within(t, func() bool { p.Kick(); return p.TX.Left() == 0 })
	}
	require.Equal(t, 17+19+1, p.reap())
	var came []byte
	within(t, func() bool {
		for range receiver.RX.Available() {
			came = append(came, u.Bytes(receiver.RX.Take().Addr, 1)[0])
		}
		return len(came) > 0 && came[len(came)-1] == 1
	})
	require.NotContains(t, came, byte(19))
}

// A packet whose last piece never came does not keep the queue.
func TestAnUnfinishedPacketEndsWithItsSocket(t *testing.T) {
	c := newCable(t, 1)
	const sg = unix.XDP_COPY | unix.XDP_USE_NEED_WAKEUP | unix.XDP_USE_SG
	for range 3 {
		u := newUmem(t, 4*ringSize)
		p := c.open(u, nil, 0, ringSize, ringSizes)
		require.NoError(t, p.Bind(c.ends[0], 0, sg))
		p.TX.Put(Desc{Addr: p.free.Take(), Len: 600, Options: Continued})
		p.TX.Publish()
		p.Kick()
		require.Zero(t, p.TX.Left())
		require.NoError(t, p.Close())
	}
}
