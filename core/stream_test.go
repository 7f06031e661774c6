package core

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// talker is a stream's user that writes down what it is told. It asks for the next
// message at once, unless it is slow.
type talker struct {
	*Stream
	slow     bool
	opened   []string
	got      []string
	closed   int
	sent     int
	ended    int
	received func(message []byte) // instead of writing it down
}

func (u *talker) Opened(_ *Stream, header []byte) { u.opened = append(u.opened, string(header)) }

func (u *talker) Received(_ *Stream, message []byte) {
	if u.received != nil {
		u.received(message)
	} else {
		u.got = append(u.got, string(message))
	}
	if !u.slow {
		u.Receive()
	}
}

func (u *talker) Closed(*Stream) { u.closed++ }
func (u *talker) Sent(*Stream)   { u.sent++ }
func (u *talker) Ended(*Stream)  { u.ended++ }

// says sends a message that must not have to wait.
func (u *talker) says(t tester, message string) {
	t.Helper()
	more, err := u.Send([]byte(message))
	require.NoError(t, err)
	require.True(t, more)
}

// sends sends a message, and waits until the next may be sent.
func (n *network) sends(u *talker, message []byte) {
	n.t.Helper()
	sent := u.sent
	more, err := u.Send(message)
	require.NoError(n.t, err)
	n.until(func() bool { return more || u.sent > sent })
}

func (u *talker) code() Code { return CodeOf(u.Err) }

// talk opens a stream.
func talk(s *Session, st Stream) *talker {
	u := &talker{Stream: &st}
	u.User = u
	s.Open(u.Stream)
	u.Receive()
	return u
}

// listens has a node's streams of a method be written down.
func (d *node) listens(method uint16, slow bool) *[]*talker {
	var all []*talker
	d.HandleStream(method, func(s *Stream) {
		u := &talker{Stream: s, slow: slow, opened: []string{string(s.Header)}}
		s.User = u
		if !slow {
			s.Receive()
		}
		all = append(all, u)
	})
	return &all
}

const talking = 7

// talks makes a pair whose server writes down what streams of talking say.
func talks(n *network, cfg Config, slow bool) (server, client *node, s *Session, served *[]*talker) {
	server, client, s = pair(n, cfg)
	return server, client, s, server.listens(talking, slow)
}

func TestAStreamSpeaksBothWaysAndEndsInOrder(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{}, false)
	u := talk(s, Stream{Method: talking, Header: []byte("who")})
	u.says(t, "one")
	u.says(t, "")
	u.says(t, "three")
	n.run(time.Millisecond)
	require.Len(t, *served, 1)
	v := (*served)[0]
	require.Equal(t, []string{"who"}, v.opened)
	require.Equal(t, []string{"one", "", "three"}, v.got)

	require.NoError(t, v.SendHeader([]byte("me")))
	v.says(t, "eins")
	v.says(t, "zwei")
	u.CloseSend()
	n.run(time.Millisecond)
	require.Equal(t, []string{"me"}, u.opened)
	require.Equal(t, []string{"eins", "zwei"}, u.got)
	require.Equal(t, 1, v.closed)
	require.Zero(t, u.ended)

	v.says(t, "drei")
	v.End(NotFound, "nothing more", []byte("trailer"))
	n.run(10 * time.Millisecond)
	require.Equal(t, []string{"eins", "zwei", "drei"}, u.got)
	require.Equal(t, 1, u.ended)
	require.Equal(t, NotFound, u.code())
	require.Equal(t, "nothing more", u.Err.(*Error).Message)
	require.Equal(t, "trailer", string(u.Trailer))
	require.Equal(t, 1, v.ended)
	require.NoError(t, v.Err)
	n.settled(server, client)
}

func TestAStreamsMessagesOfEverySizeArriveWholeAndInOrder(t *testing.T) {
	t.Parallel()
	for seed := range seeds(6) {
		n := newNetwork(t, seed)
		server, client, s := pair(n, Config{StreamWindow: []int{1 << 10, 32 << 10}[seed%2]})
		n.faults(sim.Faults{Loss: 0.05, Duplicate: 0.05, Reorder: 0.1, ReorderDelay: 200 * time.Microsecond})
		served := server.listens(talking, false)
		u := talk(s, Stream{Method: talking})
		sizes := []int{0, 1, 1000, 1100, 1400, 1500, 0, 5000, 16 << 10, 16<<10 + 1, 200_000, 3, 1 << 20, 7}
		for i, size := range sizes {
			n.sends(u, pattern(size, byte(i)))
		}
		u.CloseSend()
		n.until(func() bool { return len(*served) == 1 && (*served)[0].closed == 1 })
		v := (*served)[0]
		require.Len(t, v.got, len(sizes))
		for i, size := range sizes {
			require.True(t, string(pattern(size, byte(i))) == v.got[i], "message %d of %d bytes", i, size)
		}
		v.End(OK, "", nil)
		n.until(func() bool { return u.ended == 1 && v.ended == 1 })
		require.NoError(t, u.Err)
		n.heal()
		n.run(100 * time.Millisecond)
		n.settled(server, client)
	}
}

func TestASlowReaderStopsItsSenderAndNobodyElse(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{StreamWindow: 4 << 10})
	slow, fast := server.listens(talking, true), server.listens(talking+1, false)
	u, w := talk(s, Stream{Method: talking}), talk(s, Stream{Method: talking + 1})
	message := pattern(500, 1)
	for more := true; more; {
		var err error
		more, err = u.Send(message)
		require.NoError(t, err)
		n.run(100 * time.Microsecond)
	}
	n.run(time.Second)
	require.Zero(t, u.sent)
	v := (*slow)[0]
	require.Empty(t, v.got)
	held := server.buffers.copies + server.buffers.lent
	require.Positive(t, held)
	require.LessOrEqual(t, held, int64(4<<10+len(message)))

	for range 100 {
		w.says(t, string(message))
		n.run(100 * time.Microsecond)
	}
	require.Len(t, (*fast)[0].got, 100)
	require.Zero(t, u.sent)

	v.slow = false
	v.Receive()
	n.run(time.Millisecond)
	require.Equal(t, 1, u.sent)
	u.Reset(Canceled, "enough")
	w.Reset(Canceled, "enough")
	n.run(10 * time.Millisecond)
	require.Equal(t, Canceled, v.code())
	n.settled(server, client)
}

func TestEitherSideEndsAStreamAtOnce(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{}, true)
	for i, end := range []struct {
		name   string
		do     func(u, v *talker)
		code   Code
		atPeer Code
	}{
		{"the client gives up", func(u, _ *talker) { u.Reset(Canceled, "not wanted") }, Canceled, Canceled},
		{"the server gives up", func(_, v *talker) { v.Reset(Aborted, "no") }, Aborted, Aborted},
		{"the server ends it amid messages", func(_, v *talker) { v.End(Aborted, "no", nil) }, Aborted, OK},
		{"the session closes", func(u, _ *talker) { u.session.Close() }, Canceled, Canceled},
	} {
		session := s
		if i == 3 {
			session = n.connect(client, server)
		}
		u := talk(session, Stream{Method: talking})
		u.says(t, "a")
		n.run(time.Millisecond)
		v := (*served)[i]
		u.says(t, "b")
		end.do(u, v)
		n.run(10 * time.Millisecond)
		require.Equal(t, 1, u.ended, end.name)
		require.Equal(t, end.code, u.code(), end.name)
		require.Equal(t, 1, v.ended, end.name)
		require.Equal(t, end.atPeer, v.code(), end.name)
		n.settled(server, client)
	}
}

func TestADeadlineEndsAStreamAtBothSides(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{}, false)
	u := talk(s, Stream{Method: talking, Timeout: 5 * time.Millisecond})
	n.run(time.Millisecond)
	v := (*served)[0]
	require.InDelta(t, n.Now()+4*time.Millisecond, v.Deadline, float64(time.Millisecond))
	n.run(3 * time.Millisecond)
	require.Zero(t, u.ended)
	n.run(3 * time.Millisecond)
	require.Equal(t, DeadlineExceeded, u.code())
	require.Equal(t, DeadlineExceeded, v.code())
	n.run(10 * time.Millisecond)
	n.settled(server, client)
	late := talk(s, Stream{Method: talking, Timeout: -1})
	n.react()
	require.Equal(t, DeadlineExceeded, late.code())
}

func TestAStreamThatNobodyServesIsRefused(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{Streams: 2, MaxMessage: 1000})
	u := talk(s, Stream{Method: talking})
	u.says(t, "a")
	n.run(time.Millisecond)
	require.Equal(t, Unimplemented, u.code())
	require.False(t, u.Err.(*Error).MayHaveExecuted)

	served := server.listens(talking, false)
	a, b, c := talk(s, Stream{Method: talking}), talk(s, Stream{Method: talking}), talk(s, Stream{Method: talking})
	n.run(time.Millisecond)
	require.Equal(t, ResourceExhausted, c.code())
	require.Len(t, *served, 2)
	_, err := a.Send(make([]byte, 1001))
	require.Equal(t, ResourceExhausted, CodeOf(err))
	a.says(t, "goes on")
	n.run(time.Millisecond)
	require.Equal(t, []string{"goes on"}, (*served)[0].got)
	a.Reset(Canceled, "")
	b.Reset(Canceled, "")
	n.run(10 * time.Millisecond)
	n.settled(server, client)
}

// A server that has no session remembers no stream of it either, so that a header that
// was sent twice may be refused and then served.
func TestWhatIsRefusedWithoutASessionMayExecuteLater(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{Sessions: 1}, false)
	n.echoes(s, 10) // takes the only session
	other := n.add(Config{})
	late := n.connect(other, server)
	var first []byte
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		if from != other.addr || first != nil || !holds(data, wire.StreamHeader) {
			return false
		}
		first = bytes.Clone(data) // is late
		return true
	}
	u := talk(late, Stream{Method: talking})
	n.until(func() bool { return u.ended == 1 })
	require.Equal(t, ResourceExhausted, u.code())
	require.NoError(t, s.Close())
	n.run(100 * time.Millisecond)
	server.port.Deliver(other.addr, first, 0)
	n.run(100 * time.Millisecond)
	require.Len(t, *served, 1)
	require.True(t, u.Err.(*Error).MayHaveExecuted)
	require.NoError(t, late.Close())
	n.settled(server, client, other)
}

func TestStreamsEndWithTheirConnection(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{KeepAlive: 100 * time.Millisecond}, false)
	u := talk(s, Stream{Method: talking})
	u.says(t, "a")
	n.run(time.Millisecond)
	n.partition()
	u.says(t, "b")
	n.run(time.Second)
	require.Equal(t, Unavailable, u.code())
	require.True(t, u.Err.(*Error).MayHaveExecuted)
	require.Equal(t, Unavailable, (*served)[0].code())
	n.heal()
	again := talk(s, Stream{Method: talking, WaitForReady: true})
	more, err := again.Send([]byte("waited"))
	require.NoError(t, err)
	require.False(t, more, "there is no connection yet")
	n.until(func() bool { return len(*served) == 2 && len((*served)[1].got) == 1 })
	again.Reset(Canceled, "")
	n.run(10 * time.Millisecond)
	n.settled(server, client)
}

// A promise that no handler has begun is kept, also where what was sent last never was.
func TestAStreamWhoseHeaderHasArrivedMayHaveExecuted(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name string
		how  func(u *talker, s *Session)
	}{
		{"reset", func(u *talker, _ *Session) { u.Reset(Canceled, "") }},
		{"session closed", func(_ *talker, s *Session) { require.NoError(t, s.Close()) }},
	} {
		n := newNetwork(t, 1)
		server, client, s, served := talks(n, Config{}, false)
		u := talk(s, Stream{Method: talking})
		n.run(10 * time.Millisecond)
		require.Len(t, *served, 1)
		u.says(t, "never sent")
		end.how(u, s)
		n.run(10 * time.Millisecond)
		require.Equal(t, Canceled, u.code(), end.name)
		require.True(t, u.Err.(*Error).MayHaveExecuted, end.name)
		n.settled(server, client)
	}
}

func TestManyStreamsTakeNoSlotAndShareDatagrams(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{Slots: 1}, false)
	all := make([]*talker, 1000)
	for i := range all {
		all[i] = talk(s, Stream{Method: talking})
	}
	n.run(10 * time.Millisecond)
	require.Len(t, *served, len(all))
	n.echoes(s, 100)
	before := client.Stats().TxData
	for i, u := range all {
		u.says(t, fmt.Sprint(i))
	}
	n.run(10 * time.Millisecond)
	require.Less(t, client.Stats().TxData-before, uint64(len(all)/10))
	for i, v := range *served {
		require.Equal(t, []string{fmt.Sprint(i)}, v.got)
		v.says(t, "pushed")
	}
	n.run(10 * time.Millisecond)
	for _, u := range all {
		require.Equal(t, []string{"pushed"}, u.got)
		u.Reset(Canceled, "")
	}
	n.run(10 * time.Millisecond)
	n.settled(server, client)
}

func TestAHeaderThatIsOvertakenByItsWindowHoldsNothingUp(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{StreamWindow: 4 << 10}, false)
	n.run(100 * time.Millisecond)
	lost := false
	n.drop = func(_, _ netip.AddrPort, data []byte) bool {
		first := !lost && holds(data, wire.StreamHeader)
		lost = lost || first
		return first
	}
	u := talk(s, Stream{Method: talking, Header: pattern(3000, 1)})
	_, err := u.Send(pattern(40_000, 2))
	require.NoError(t, err)
	n.until(func() bool { return len(*served) == 1 && len((*served)[0].got) == 1 })
	require.True(t, lost)
	u.Reset(Canceled, "")
	n.settled(server, client)
}

func TestAStreamsWindowIsAsLargeAsItsReaderIsFast(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{StreamWindow: 4 << 10, StreamMemory: 100 << 10}, false)
	u := talk(s, Stream{Method: talking})
	message := pattern(1000, 1)
	for range 1000 {
		n.sends(u, message)
	}
	n.run(time.Millisecond)
	v := (*served)[0]
	require.EqualValues(t, 64<<10, v.in.window, "as far as the memory goes")
	require.Equal(t, 60<<10, muxOf(server.onlyClient()).widened)
	for range 200 {
		n.sends(u, message)
		n.run(400 * time.Millisecond)
		server.checkAccounts(0, 0)
	}
	require.EqualValues(t, 4<<10, v.in.window)
	require.Zero(t, muxOf(server.onlyClient()).widened)
	require.Len(t, v.got, 1200)
	u.Reset(Canceled, "")
	n.settled(server, client)
}

func TestAServersEndStopsAClientThatHasNotReadYet(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{StreamWindow: 4 << 10}, true)
	u := &talker{Stream: &Stream{Method: talking}, slow: true}
	u.User = u
	s.Open(u.Stream)
	for more := true; more; {
		more, _ = u.Send(pattern(500, 1))
	}
	n.run(time.Millisecond)
	(*served)[0].says(t, "unread")
	(*served)[0].End(Aborted, "enough", nil)
	n.run(time.Millisecond)
	require.Equal(t, 1, u.sent, "nobody waits for a server that has ended")
	require.False(t, u.Writable())
	require.Zero(t, u.ended)
	u.Receive()
	n.run(time.Millisecond)
	require.Equal(t, []string{"unread"}, u.got)
	require.Equal(t, Aborted, u.code())
	n.settled(server, client)
}

// What a client has given up is told to the server, however much that is: else the
// server would hold such streams open, and take uses of an index that are too far
// ahead for old ones.
func TestEveryStreamThatIsGivenUpEndsAtTheServer(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{KeepAlive: time.Minute}, false)
	var open []*talker
	for range 20 {
		open = append(open, talk(s, Stream{Method: talking}))
	}
	n.run(10 * time.Millisecond)
	n.partition()
	for range 100_000 {
		u := talk(s, Stream{Method: talking})
		u.Reset(Canceled, "")
	}
	for _, u := range open {
		u.Reset(Canceled, "")
	}
	require.LessOrEqual(t, s.mux.controls, maxControls+len(open)+1)
	n.heal()
	n.run(10 * time.Second)
	for _, v := range (*served)[:20] {
		require.Equal(t, 1, v.ended)
	}
	before := len(*served)
	u := talk(s, Stream{Method: talking})
	n.run(time.Second)
	require.Len(t, *served, before+1)
	u.Reset(Canceled, "")
	n.settled(server, client)
}
