package transport

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	capturePeer  = netip.MustParseAddrPort("10.0.0.2:7")
	captureLocal = netip.MustParseAddrPort("10.0.0.1:9")
)

// captured decorates a fake, with a route to capturePeer.
func capturing(t *testing.T, o CaptureOptions) (*Capture, *fake) {
	inner := newFake()
	inner.local = captureLocal
	c := NewCapture(inner, o)
	r, err := c.Resolve(capturePeer, netip.Addr{})
	require.NoError(t, err)
	require.Equal(t, Route(7), r, "which send uses")
	return c, inner
}

// shown are the frames that lie ready.
func shown(c *Capture) (frames []Frame) {
	c.Read(func(f *Frame) {
		frame := *f
		frame.Data = append([]byte{}, f.Data...)
		frames = append(frames, frame)
	})
	return frames
}

func textsOf(frames []Frame) []string {
	texts := []string{}
	for _, f := range frames {
		texts = append(texts, string(f.Data))
	}
	return texts
}

func TestWhatPassesIsCaptured(t *testing.T) {
	t.Parallel()
	c, inner := capturing(t, CaptureOptions{})
	before := time.Now().UnixNano()
	send(t, c, "ping")
	inner.inbox = []RxPacket{
		{Data: []byte("pong"), From: capturePeer, ECN: CE, Waited: time.Hour},
		{Data: []byte("more"), From: capturePeer, ECN: CE, To: netip.MustParseAddr("10.0.0.5"), Port: 99},
	}
	require.Equal(t, []string{"pong", "more"}, recv(t, c))
	require.Equal(t, []string{"ping"}, inner.texts())
	frames := shown(c)
	for i := range frames {
		require.GreaterOrEqual(t, frames[i].Time+int64(frames[i].Waited), before)
		require.LessOrEqual(t, frames[i].Time+int64(frames[i].Waited), time.Now().UnixNano())
		frames[i].Time = 0
	}
	require.Equal(t, []Frame{
		{Direction: Outbound, Local: captureLocal, Peer: capturePeer, ECN: ECT0, Size: 4, Data: []byte("ping")},
		{Direction: Inbound, Local: captureLocal, Peer: capturePeer, ECN: CE, Size: 4, Data: []byte("pong"), Waited: time.Hour},
		{Direction: Inbound, Local: netip.MustParseAddrPort("10.0.0.5:99"), Peer: capturePeer, ECN: CE, Size: 4, Data: []byte("more")},
	}, frames)
	require.Empty(t, shown(c))
}

func TestOnlyWhatInnerTookWasSent(t *testing.T) {
	t.Parallel()
	c, inner := capturing(t, CaptureOptions{Every: 2})
	inner.room = 3
	pkts := make([]TxPacket, 6)
	require.Equal(t, 6, c.Reserve(pkts))
	for i := range pkts {
		pkts[i].Route, pkts[i].Head = 7, append(pkts[i].Head[:0], byte('a'+i))
	}
	n, err := c.Send(pkts)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []string{"b"}, textsOf(shown(c)), "the second of three; d and f did not leave")
	inner.room = 3
	n, err = c.Send(pkts[3:])
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []string{"d", "f"}, textsOf(shown(c)))
}

func TestDatagramsAreCutAndChosen(t *testing.T) {
	t.Parallel()
	stranger := netip.MustParseAddrPort("10.0.0.3:7")
	c, inner := capturing(t, CaptureOptions{Snap: 3, Peer: func(p netip.AddrPort) bool { return p == capturePeer }})
	send(t, c, "abcdef", "xy")
	inner.inbox = []RxPacket{{Data: []byte("of a stranger"), From: stranger, ECN: CE}, {Data: []byte("peer"), From: capturePeer, ECN: CE}}
	recv(t, c)
	frames := shown(c)
	require.Equal(t, []string{"abc", "xy", "pee"}, textsOf(frames))
	require.Equal(t, []int{6, 2, 4}, []int{frames[0].Size, frames[1].Size, frames[2].Size})
}

func TestWhatFindsNoRoomIsCounted(t *testing.T) {
	t.Parallel()
	c, _ := capturing(t, CaptureOptions{Buffer: 1 << 12})
	texts := numbers(20)
	send(t, c, texts...)
	frames := shown(c)
	require.Equal(t, texts[:8], textsOf(frames), "one in 512 bytes")
	require.Equal(t, uint64(12), c.Missed())
	select {
	case <-c.Ready():
	default:
		require.Fail(t, "the reader was not told that the buffer fills")
	}
	send(t, c, "next", "last")
	frames = shown(c)
	require.Equal(t, []string{"next", "last"}, textsOf(frames))
	require.Equal(t, []uint64{12, 0}, []uint64{frames[0].Missed, frames[1].Missed})
}

// Sizes that do not divide the ring wrap at each place.
func TestFramesThatWrapAreWhole(t *testing.T) {
	t.Parallel()
	c, inner := capturing(t, CaptureOptions{Buffer: 1 << 12})
	inner.size = 2000
	for i := range 500 {
		text := fmt.Sprintf("%0*d", 1+i*7%1900, i)
		send(t, c, text)
		require.Equal(t, []string{text}, textsOf(shown(c)))
	}
	require.Zero(t, c.Missed())
}

func TestWhatCouldNotBeDeliveredIsCaptured(t *testing.T) {
	t.Parallel()
	c := NewCapture(&refused{newFake(), 1}, CaptureOptions{})
	u, ok := c.NextUnreachable()
	require.True(t, ok)
	require.True(t, u.Refused())
	_, ok = c.NextUnreachable()
	require.False(t, ok)
	frames := shown(c)
	require.Len(t, frames, 1)
	require.Equal(t, Undelivered, frames[0].Direction)
	require.Equal(t, "part", string(frames[0].Data))
	require.ErrorIs(t, frames[0].Err, syscall.ECONNREFUSED)
	_, ok = NewCapture(newFake(), CaptureOptions{}).NextUnreachable()
	require.False(t, ok, "of a transport that does not report")
}

// refused reports some datagrams.
type refused struct {
	*fake
	left int
}

func (r *refused) NextUnreachable() (u Unreachable, ok bool) {
	if r.left == 0 {
		return u, false
	}
	r.left--
	return Unreachable{To: capturePeer, Err: syscall.ECONNREFUSED, Data: []byte("part")}, true
}

func TestAReaderKeepsUpWithoutALock(t *testing.T) {
	t.Parallel()
	c, _ := capturing(t, CaptureOptions{Buffer: 1 << 12})
	const datagrams = 20000
	done := make(chan struct{})
	var seen, missed uint64
	go func() {
		defer close(done)
		want := 0
		take := func(f *Frame) {
			seen++
			missed += f.Missed
			want += int(f.Missed)
			if string(f.Data) != fmt.Sprintf("%08d", want) {
				panic(fmt.Sprintf("%s for %08d", f.Data, want))
			}
			want++
		}
		for range c.Ready() {
			c.Read(take)
			if c.ring.missed.Load()+c.ring.written.Load() == datagrams {
				c.Read(take)
				return
			}
		}
	}()
	for i := range datagrams {
		send(t, c, fmt.Sprintf("%08d", i))
	}
	require.NoError(t, c.Close())
	<-done
	require.Equal(t, uint64(datagrams), seen+c.Missed())
	require.LessOrEqual(t, missed, c.Missed())
}

func TestCapturingAllocatesNothing(t *testing.T) {
	c, _ := capturing(t, CaptureOptions{Snap: 16, Buffer: 1 << 12})
	c.Transport = quiet{c.Transport}
	tx := make([]TxPacket, 4)
	rx := make([]RxPacket, 4)
	head := make([]byte, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range tx {
			tx[i] = TxPacket{Route: 7, Head: head}
		}
		_, _ = c.Send(tx)
		_, _ = c.Recv(rx)
		c.Read(func(*Frame) {})
	}))
}

// quiet takes all and brings some.
type quiet struct{ Transport }

func (quiet) Send(pkts []TxPacket) (int, error) { return len(pkts), nil }

func (quiet) Recv(pkts []RxPacket) (int, error) {
	for i := range pkts {
		pkts[i] = RxPacket{Data: payload[:], From: capturePeer}
	}
	return len(pkts), nil
}

var payload [1000]byte
