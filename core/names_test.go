package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// numbered is a server that gives names their numbers in another order each time that
// it is started. Its methods reply their names.
func (n *network) numbered(d *node, generation int, names []string) {
	for i, name := range names {
		number := uint16(100 + (i+generation)%len(names))
		d.Name(name, number)
		d.Handle(number, func(r *Request) { r.Reply([]byte(name)) })
		d.HandleStream(number, func(s *Stream) {
			s.User = new(ender)
			s.End(OK, "", []byte(name))
		})
	}
}

// ender is a user of a stream that looks at the end alone.
type ender struct{ ended bool }

func (*ender) Opened(*Stream, []byte)   {}
func (*ender) Received(*Stream, []byte) {}
func (*ender) Closed(*Stream)           {}
func (*ender) Sent(*Stream)             {}
func (u *ender) Ended(*Stream)          { u.ended = true }

// Calls and streams that are bound to the connection whose server gave the number meet
// the method of the name or none, however often the server is started anew meanwhile.
func TestAStaleNumberNeverRunsAnotherMethod(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e"}
	for seed := range seeds(30) {
		n := newNetwork(t, seed)
		server, client := n.add(Config{}), n.add(Config{Slots: 2})
		n.numbered(server, 0, names)
		s := n.connect(client, server)
		random := n.Rand()
		answered, stale := 0, 0
		for generation := 1; generation <= 8; generation++ {
			type binding struct {
				number     uint16
				connection uint64
			}
			known := map[string]binding{}
			for _, name := range names {
				ask := Call{Method: wire.NamesMethod, Request: []byte(name), Buf: make([]byte, 0, 8), WaitForReady: true}
				asked := n.submit(s, &ask)
				n.until(func() bool { return *asked == 1 })
				require.NoError(t, ask.Err)
				number, err := wire.ParseNumber(ask.Response, name)
				require.NoError(t, err)
				require.Equal(t, s.Connection(), ask.Via)
				known[name] = binding{number, ask.Via}
			}
			var over []func() bool
			var check []func()
			for range 20 {
				name := names[random.IntN(len(names))]
				b := known[name]
				call := &Call{Method: b.number, Tied: b.connection, Buf: make([]byte, 0, 8), WaitForReady: true}
				done := n.submit(s, call)
				over = append(over, func() bool { return *done == 1 })
				stream := &Stream{Method: b.number, Tied: b.connection, WaitForReady: true, User: new(ender)}
				s.Open(stream)
				over = append(over, func() bool { return stream.User.(*ender).ended })
				ended := func(err error, got []byte) {
					if err == nil {
						require.Equal(t, name, string(got))
						answered++
						return
					}
					require.Equal(t, Unavailable, CodeOf(err))
					stale++
				}
				check = append(check, func() {
					ended(call.Err, call.Response)
					ended(stream.Err, stream.Trailer)
				})
			}
			n.run(time.Duration(random.IntN(100)) * time.Microsecond)
			server.restart(Config{})
			n.numbered(server, generation, names)
			n.until(func() bool {
				for _, o := range over {
					if !o() {
						return false
					}
				}
				return true
			})
			for _, c := range check {
				c()
			}
		}
		require.NotZero(t, answered)
		require.NotZero(t, stale)
	}
}

func TestWhatIsTiedToAConnectionThatIsNoMoreIsNotSent(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{})
	s := n.connect(client, server)
	require.NotZero(t, s.Connection())
	call := Call{Method: echo, Tied: s.Connection() + 1}
	done := n.submit(s, &call)
	stream := &Stream{Method: echo, Tied: s.Connection() + 1, User: new(ender)}
	s.Open(stream)
	n.until(func() bool { return *done == 1 && stream.User.(*ender).ended })
	require.Equal(t, error(ErrOtherConnection), call.Err)
	require.Equal(t, error(ErrOtherConnection), stream.Err)
	require.Zero(t, call.Via)
	require.Zero(t, server.Stats().RequestsHandled+server.Stats().StreamsServed)
	again := Call{Method: echo, Tied: s.Connection()}
	done = n.submit(s, &again)
	n.until(func() bool { return *done == 1 })
	require.NoError(t, again.Err, "its slot was not lost")
}

func TestMethodsMayHaveAnyNumber(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.add(Config{}), n.add(Config{})
	numbers := []uint16{0, 1, 32767, 32768, 65534, 65535}
	for _, number := range numbers {
		server.Handle(number, func(r *Request) { r.Reply(fmt.Append(nil, number)) })
	}
	s := n.connect(client, server)
	for _, number := range numbers {
		call := Call{Method: number, Buf: []byte{}}
		done := n.submit(s, &call)
		n.until(func() bool { return *done == 1 })
		require.NoError(t, call.Err)
		require.Equal(t, fmt.Sprint(number), string(call.Response))
	}
	missing := Call{Method: 65533}
	done := n.submit(s, &missing)
	n.until(func() bool { return *done == 1 })
	require.Equal(t, Unimplemented, CodeOf(missing.Err))
}
