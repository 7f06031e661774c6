package uring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

// What is told here is about the kernel: each is something that the backend relies
// on, and where a good guess would be wrong.

const patience = 20 * time.Second

// bench is a ring with one UDP socket on the loopback, a group of buffers, and a
// plain socket that sends to it. Its thread is locked for the length of the test.
type bench struct {
	*Ring
	t       *testing.T
	fd      int
	address netip.AddrPort
	plain   int
	buffers *Buffers
	memory  [][]byte
	msg     *unix.Msghdr
}

const (
	testName    = 32
	testControl = 112
	testPayload = 512
)

func open(t *testing.T, o Options) *Ring {
	t.Helper()
	if o.Requests == 0 {
		o.Requests, o.Completions = 16, 64
	}
	r, err := Setup(o)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func newBench(t *testing.T, o Options, places int) *bench {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	b := &bench{Ring: open(t, o), t: t}
	b.fd, b.address = socket(t)
	b.plain, _ = socket(t)
	require.NoError(t, b.RegisterFile(b.fd))
	var err error
	b.buffers, err = b.NewBuffers(3, places)
	require.NoError(t, err)
	for range places {
		b.memory = append(b.memory, make([]byte, ReceivedHeader+testName+testControl+testPayload))
	}
	b.msg = &unix.Msghdr{Namelen: testName}
	b.msg.SetControllen(testControl)
	require.NoError(t, b.Enable(o))
	t.Cleanup(func() {
		b.CancelAll(patience)
		require.NoError(t, b.buffers.Close())
	})
	return b
}

func socket(t *testing.T) (int, netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := unix.Getsockname(fd)
	require.NoError(t, err)
	return fd, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(bound.(*unix.SockaddrInet4).Port))
}

// send sends datagrams from the plain socket.
func (b *bench) send(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		require.NoError(b.t, unix.Sendto(b.plain, []byte(text), 0, &unix.SockaddrInet4{Addr: b.address.Addr().As4(), Port: int(b.address.Port())}))
	}
}

// provide lets the kernel have buffers by their numbers.
func (b *bench) provide(numbers ...int) {
	for _, n := range numbers {
		b.buffers.Add(AddressOf(b.memory[n]), uint32(len(b.memory[n])), uint16(n))
	}
	b.buffers.Publish()
}

// arm asks for datagrams.
func (b *bench) arm(flags uint32) {
	b.t.Helper()
	e := b.Next()
	require.NotNil(b.t, e)
	e.RecvMultishot(b.msg, 3, flags)
	e.Flags |= FixedFile
	e.UserData = 42
	require.Zero(b.t, b.Submit())
}

// next waits for a completion.
func (b *bench) next() CQE {
	b.t.Helper()
	for end := time.Now().Add(patience); ; {
		if e := b.Completion(); e != nil {
			cqe := *e
			b.Free()
			return cqe
		}
		require.True(b.t, time.Now().Before(end), "no completion")
		errno := b.Wait(time.Second)
		require.True(b.t, errno == 0 || errno == unix.EINTR, "%v", errno)
	}
}

// none requires that there is no completion, also after an enter.
func (b *bench) none() {
	b.t.Helper()
	require.Zero(b.t, b.Submit())
	require.Nil(b.t, b.Completion())
}

func (b *bench) text(c CQE) string {
	b.t.Helper()
	require.NotZero(b.t, c.Flags&CQEBuffer, "%+v: %v", c, unix.Errno(-c.Result))
	r, ok := ParseReceived(b.memory[c.Buffer()], int(c.Result), testName, testControl)
	require.True(b.t, ok)
	return string(r.Payload)
}

// modes are the ways to set up a ring.
var modes = map[string]Options{
	"one thread": {OneThread: true},
	"any thread": {},
	"poller":     {Poller: true, PollerIdle: time.Second, PollerCPU: -1},
}

func eachMode(t *testing.T, story func(t *testing.T, o Options)) {
	t.Parallel()
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, o)
		})
	}
}

func TestDatagramsComeIntoBuffersUntilThereAreNoneLeft(t *testing.T) {
	eachMode(t, func(t *testing.T, o Options) {
		b := newBench(t, o, 4)
		b.provide(0, 1)
		b.arm(0)
		b.send("one", "two", "three")
		first := b.next()
		require.Equal(t, "one", b.text(first))
		require.NotZero(t, first.Flags&CQEMore)
		second := b.next()
		require.Equal(t, "two", b.text(second))
		end := second
		if second.Flags&CQEMore != 0 {
			end = b.next()
			require.EqualValues(t, -int32(unix.ENOBUFS), end.Result)
		}
		require.Zero(t, end.Flags&CQEMore, "it has to be armed again")
		b.provide(2)
		b.arm(0)
		require.Equal(t, "three", b.text(b.next()), "nothing was lost")
	})
}

func TestWithTheLastBufferAReceiveEndsThoughNoDatagramWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 2)
	b.provide(0)
	b.arm(0)
	b.send("one")
	require.Equal(t, "one", b.text(b.next()))
	end := b.next()
	require.Equal(t, CQE{UserData: 42, Result: -int32(unix.ENOBUFS)}, end)
}

func TestAReceiveThatIsArmedWithoutBuffersEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 2)
	b.arm(0)
	b.send("one")
	require.Equal(t, CQE{UserData: 42, Result: -int32(unix.ENOBUFS)}, b.next())
	b.provide(0)
	b.arm(0)
	require.Equal(t, "one", b.text(b.next()))
}

func TestAnEmptyDatagramEndsAReceiveAndCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 4)
	b.provide(0, 1, 2)
	b.arm(0)
	b.send("", "next")
	first := b.next()
	require.Empty(t, b.text(first))
	require.Positive(t, first.Result)
	require.Zero(t, first.Flags&CQEMore)
	b.none()
	b.arm(0)
	require.Equal(t, "next", b.text(b.next()))
}

func TestAFullCompletionRingEndsAReceiveWithASuccess(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true, Requests: 2, Completions: 4}, 16)
	for n := range 16 {
		b.provide(n)
	}
	b.arm(0)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint("datagram ", i))
	}
	b.send(want...)
	var got []string
	for len(got) < len(want) {
		c := b.next()
		got = append(got, b.text(c))
		if c.Flags&CQEMore == 0 {
			b.arm(0)
		}
	}
	require.Equal(t, want, got)
	require.Zero(t, b.Lost())
}

func TestAReceiveThatDoesNotWaitTakesWhatIsThere(t *testing.T) {
	eachMode(t, func(t *testing.T, o Options) {
		b := newBench(t, o, 8)
		b.provide(0, 1, 2, 3, 4)
		b.arm(unix.MSG_DONTWAIT)
		require.Equal(t, CQE{UserData: 42, Result: -int32(unix.EAGAIN)}, b.next())
		b.send("one", "two")
		b.arm(unix.MSG_DONTWAIT)
		require.Equal(t, "one", b.text(b.next()))
		require.Equal(t, "two", b.text(b.next()))
		require.Equal(t, CQE{UserData: 42, Result: -int32(unix.EAGAIN)}, b.next())
		b.send("three")
		b.none()
	})
}

func TestAPlainReceiveIsLaidOutLikeAMultishot(t *testing.T) {
	eachMode(t, func(t *testing.T, o Options) {
		b := newBench(t, o, 2)
		const header = ReceivedHeader + testName + testControl
		one := func(flags uint32, priority uint16) CQE {
			iov := &unix.Iovec{Base: &b.memory[0][header]}
			iov.SetLen(testPayload)
			m := &unix.Msghdr{Name: &b.memory[0][ReceivedHeader], Namelen: testName, Iov: iov, Control: &b.memory[0][ReceivedHeader+testName]}
			m.SetIovlen(1)
			m.SetControllen(testControl)
			e := b.Next()
			e.RecvMsg(m, flags)
			e.Flags |= FixedFile
			e.Priority |= priority
			require.Zero(t, b.Submit())
			c := b.next()
			if c.Result >= 0 {
				r, ok := ParseReceived(b.memory[0], int(LayOut(b.memory[0], m, header, int(c.Result))), testName, testControl)
				require.True(t, ok)
				require.Len(t, r.Name, unix.SizeofSockaddrInet4)
				require.Zero(t, r.Flags)
				require.Equal(t, "datagram", string(r.Payload))
			}
			return c
		}
		require.EqualValues(t, -int32(unix.EAGAIN), one(unix.MSG_DONTWAIT, 0).Result, "it does not wait")
		b.send("datagram", "datagram")
		require.Equal(t, CQE{Result: 8}, one(unix.MSG_DONTWAIT, 0))
		require.Equal(t, CQE{Result: 8}, one(0, PollFirst), "what is there is found also by polling first")
		go func() {
			time.Sleep(time.Millisecond)
			b.send("datagram")
		}()
		require.Equal(t, CQE{Result: 8}, one(0, PollFirst))
	})
}

func TestASendToAnAddress(t *testing.T) {
	eachMode(t, func(t *testing.T, o Options) {
		b := newBench(t, o, 2)
		b.provide(0, 1)
		data := []byte("datagram")
		iov := &unix.Iovec{Base: &data[0]}
		iov.SetLen(len(data))
		to := make([]byte, unix.SizeofSockaddrInet4)
		binary.NativeEndian.PutUint16(to, unix.AF_INET)
		binary.BigEndian.PutUint16(to[2:], b.address.Port())
		copy(to[4:], b.address.Addr().AsSlice())
		e := b.Next()
		e.SendTo(iov, &to[0], uint32(len(to)), unix.MSG_DONTWAIT)
		e.Flags |= FixedFile
		require.Zero(t, b.Submit())
		require.Equal(t, CQE{Result: 8}, b.next())
		b.arm(unix.MSG_DONTWAIT)
		require.Equal(t, "datagram", b.text(b.next()))
		runtime.KeepAlive(to)
	})
}

// All of it within the call: no thread has anything left to do.
func TestAReceiveThatDoesNotWaitIsBoundToNoThread(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{}, 8)
	b.provide(0, 1, 2, 3, 4)
	for i := range 5 {
		text := fmt.Sprint("datagram ", i)
		b.send(text)
		elsewhere := make(chan int)
		go func() {
			runtime.LockOSThread() // and the thread ends with it
			b.arm(unix.MSG_DONTWAIT)
			n := 0
			for b.Completion() != nil {
				n++
			}
			b.Free()
			elsewhere <- n
		}()
		require.GreaterOrEqual(t, <-elsewhere, 2, "a datagram and its end, before enter returned")
	}
}

func TestAnotherThreadThanTheOneIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 2)
	errno := make(chan unix.Errno)
	go func() {
		runtime.LockOSThread()
		b.Next().Opcode = OpNop
		errno <- b.Submit()
	}()
	require.Equal(t, unix.EEXIST, <-errno)
	require.Zero(t, b.Submit())
	require.Zero(t, b.next().Result, "and the one may go on")
}

func TestAReceiveWhoseThreadHasEndedIsCancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{}, 4)
	b.provide(0, 1)
	ended := make(chan int)
	transporttest.OnThreadThatEnds(func() {
		b.arm(0)
		ended <- unix.Gettid()
	})
	tid := <-ended
	require.Eventually(t, func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
		return err != nil
	}, patience, time.Millisecond)
	b.send("swallowed or not")
	c := b.next()
	require.Equal(t, CQE{UserData: 42, Result: -int32(unix.ECANCELED)}, c)
	b.arm(0)
	require.Equal(t, "swallowed or not", b.text(b.next()))
}

func TestARingWhoseThreadHasEndedRefusesAll(t *testing.T) {
	t.Parallel()
	o := Options{OneThread: true}
	r := open(t, o)
	ended := make(chan int)
	go func() {
		runtime.LockOSThread()
		require.NoError(t, r.Enable(o))
		ended <- unix.Gettid()
	}()
	<-ended
	r.Next().Opcode = OpNop
	require.Equal(t, unix.EEXIST, r.Submit())
}

func TestWaitEndsWithItsTimeoutAndWithAMessage(t *testing.T) {
	eachMode(t, func(t *testing.T, o Options) {
		b := newBench(t, o, 2)
		for _, timeout := range []time.Duration{0, time.Nanosecond, time.Millisecond} {
			errno := b.Wait(timeout)
			require.True(t, errno == 0 || errno == unix.EINTR, "%v", errno)
			require.Nil(t, b.Completion())
		}
		if k, err := Probe(); err != nil || !k.HasMessage() {
			t.Skip("this kernel sends no message without a ring (Linux 6.13)")
		}
		fd := b.FD()
		for i := range uint64(50) {
			go func() { _ = Message(fd, i) }()
			require.Equal(t, CQE{UserData: i}, b.next())
		}
	})
}

func TestAnIdleRingOfOneThreadIsAskedWithoutASystemCall(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 4)
	b.provide(0, 1, 2)
	b.arm(0)
	require.Eventually(t, func() bool { return !b.Pending() }, patience, time.Millisecond)
	fd := b.Ring.enterFD
	b.Ring.enterFD = ^uintptr(0) // an enter would fail
	require.Zero(t, b.Submit())
	b.Ring.enterFD = fd
	b.send("there")
	require.Eventually(t, b.Pending, patience, time.Millisecond, "the kernel says that there is work")
	require.Nil(t, b.Completion(), "which it has not done")
	require.Zero(t, b.Submit())
	require.Equal(t, "there", b.text(b.next()))
}

func TestWorkLeftToAThreadNeedNotMakeItsRingReadable(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 4)
	b.provide(0, 1, 2)
	b.arm(0)
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(ep)
	require.NoError(t, unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, b.FD(), &unix.EpollEvent{Events: unix.EPOLLIN}))
	told := func() (n int) {
		t.Helper()
		n = -1
		for end := time.Now().Add(100 * time.Millisecond); n < 0; {
			n, err = unix.EpollWait(ep, make([]unix.EpollEvent, 1), max(0, int(time.Until(end).Milliseconds())))
			require.True(t, err == nil || errors.Is(err, unix.EINTR), "%v", err)
		}
		return n
	}
	require.Zero(t, told())
	b.send("there")
	n := told()
	require.True(t, b.Pending())
	if n > 0 {
		t.Log("this kernel says so")
	}
	require.Equal(t, "there", b.text(b.next()))
}

func TestARegisteredRingIsEntered(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 4)
	require.NoError(t, b.RegisterSelf())
	b.provide(0)
	b.arm(0)
	b.send("there")
	require.Equal(t, "there", b.text(b.next()))
	require.NoError(t, b.UnregisterSelf())
	require.NoError(t, b.UnregisterSelf())
	b.next()
	require.Zero(t, b.Wait(0))
}

func TestARestrictedRingDoesWhatItIsMeantTo(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true, Opcodes: []uint8{OpRecvMsg}, Flags: FixedFile | BufferSelect}, 4)
	b.provide(0)
	b.arm(0)
	b.send("there")
	require.Equal(t, "there", b.text(b.next()))
	b.next()

	b.Next().Opcode = OpNop
	e := b.Next()
	e.RecvMultishot(b.msg, 3, unix.MSG_DONTWAIT)
	e.Flags |= FixedFile
	_ = b.Submit()
	require.Equal(t, CQE{Result: -int32(unix.EACCES)}, b.next(), "an opcode")
	require.NotEqual(t, -int32(unix.EACCES), b.next().Result, "the rest of the batch goes on")

	e = b.Next()
	e.RecvMultishot(b.msg, 3, unix.MSG_DONTWAIT)
	e.Flags |= SkipSuccess
	_ = b.Submit()
	require.Equal(t, CQE{Result: -int32(unix.EACCES)}, b.next(), "a flag")

	require.Error(t, b.RegisterFile(b.plain), "a registration")
}

func TestWhatDoesNotFitIntoTheRoomForControlMessagesIsSaid(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 4)
	require.NoError(t, unix.SetsockoptInt(b.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	require.NoError(t, unix.SetsockoptInt(b.fd, unix.SOL_IP, unix.IP_PKTINFO, 1))
	require.NoError(t, unix.SetsockoptInt(b.fd, unix.SOL_IP, unix.IP_RECVTOS, 1))
	require.NoError(t, unix.SetsockoptInt(b.fd, unix.SOL_UDP, unix.UDP_GRO, 1))
	for _, c := range []struct {
		room int
		flag uint32
	}{{112, 0}, {32, unix.MSG_CTRUNC}} {
		b.provide(0)
		b.msg.SetControllen(c.room)
		b.arm(unix.MSG_DONTWAIT)
		b.next()
		b.send("datagram")
		b.arm(unix.MSG_DONTWAIT)
		cqe := b.next()
		r, ok := ParseReceived(b.memory[cqe.Buffer()], int(cqe.Result), testName, c.room)
		require.True(t, ok)
		require.Equal(t, "datagram", string(r.Payload))
		require.Equal(t, c.flag, r.Flags&unix.MSG_CTRUNC)
		b.next()
	}
}

func TestAPayloadTooLongForItsBufferIsTruncated(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 4)
	b.provide(0)
	b.send(string(make([]byte, testPayload+1)))
	b.arm(unix.MSG_DONTWAIT)
	cqe := b.next()
	r, ok := ParseReceived(b.memory[cqe.Buffer()], int(cqe.Result), testName, testControl)
	require.True(t, ok)
	require.Len(t, r.Payload, testPayload)
	require.NotZero(t, r.Flags&unix.MSG_TRUNC)
}

// Two sockets of which the second reads nothing: the first cannot send for ever.
func stuffed(t *testing.T) (fd int, msg *unix.Msghdr) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) })
	for err == nil {
		err = unix.Send(pair[0], make([]byte, 1000), 0)
	}
	require.ErrorIs(t, err, unix.EAGAIN)
	data := make([]byte, 1000)
	iov := &unix.Iovec{Base: &data[0]}
	iov.SetLen(len(data))
	msg = &unix.Msghdr{Iov: iov}
	msg.SetIovlen(1)
	return pair[0], msg
}

func TestOnlyAFlagKeepsASendFromWaiting(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 2)
	fd, msg := stuffed(t)
	e := b.Next()
	e.SendMsg(msg, unix.MSG_DONTWAIT)
	e.FD = int32(fd)
	require.Zero(t, b.Submit())
	require.EqualValues(t, -int32(unix.EAGAIN), b.next().Result)

	e = b.Next()
	e.SendMsg(msg, 0) // though the socket is O_NONBLOCK
	e.FD = int32(fd)
	require.Zero(t, b.Submit())
	b.none()
	require.Zero(t, b.CancelAll(patience))
	require.EqualValues(t, -int32(unix.ECANCELED), b.next().Result)
}

// pieces is a message of n separate parts to b's own socket.
func (b *bench) pieces(n int) *unix.Msghdr {
	iovs := make([]unix.Iovec, n)
	for i := range iovs {
		part := make([]byte, 10, 100)
		iovs[i].Base = &part[0]
		iovs[i].SetLen(len(part))
	}
	msg := &unix.Msghdr{Iov: &iovs[0]}
	msg.SetIovlen(n)
	require.NoError(b.t, unix.Connect(b.plain, &unix.SockaddrInet4{Addr: b.address.Addr().As4(), Port: int(b.address.Port())}))
	return msg
}

func TestAZeroCopySendCompletesTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{OneThread: true}, 4)
	b.provide(0, 1)
	for _, c := range []struct {
		pieces int
		result int32
	}{{17, 170}, {18, -int32(unix.EMSGSIZE)}} {
		e := b.Next()
		e.SendMsgZC(b.pieces(c.pieces), unix.MSG_DONTWAIT)
		e.FD, e.UserData = int32(b.plain), 5
		require.Zero(t, b.Submit())
		result := b.next()
		require.Equal(t, CQE{UserData: 5, Result: c.result, Flags: CQEMore}, result, "%v", unix.Errno(-result.Result))
		notification := b.next()
		require.EqualValues(t, 5, notification.UserData)
		require.NotZero(t, notification.Flags&CQENotif, "on failure too")
		if c.result > 0 {
			require.NotZero(t, uint32(notification.Result)&Copied, "the loopback always copies")
		}
	}
}

// The port is free as soon as everything is given back, in that order.
func TestAPortIsFreeAtOnceAfterAnOrderlyEnd(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 60 {
		o := Options{OneThread: true, Requests: 4, Completions: 8}
		r := open(t, o)
		fd, address := socket(t)
		require.NoError(t, r.RegisterFile(fd))
		buffers, err := r.NewBuffers(3, 2)
		require.NoError(t, err)
		require.NoError(t, r.Enable(o))
		memory := make([]byte, 1000)
		buffers.Add(AddressOf(memory), 1000, 0)
		buffers.Publish()
		msg := &unix.Msghdr{}
		e := r.Next()
		e.RecvMultishot(msg, 3, 0)
		e.Flags |= FixedFile
		require.Zero(t, r.Submit())

		require.Zero(t, r.CancelAll(patience))
		for r.Completion() == nil {
			require.Zero(t, r.Wait(time.Second))
		}
		require.NoError(t, r.UnregisterFile())
		require.NoError(t, unix.Close(fd))
		require.NoError(t, r.Close())
		require.NoError(t, buffers.Close())
		requireFree(t, address)
	}
}

func requireFree(t *testing.T, address netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())}))
}
