package scenario_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

const quotes = 1 // the method of streams

// subscriber is a client's stream, on which it hears numbers that count up.
type subscriber struct {
	core.Stream
	t     *testing.T
	deaf  bool // asks for nothing
	next  uint32
	ended bool
}

func (s *subscriber) Opened(*core.Stream, []byte) {}
func (s *subscriber) Closed(*core.Stream)         {}
func (s *subscriber) Sent(*core.Stream)           {}
func (s *subscriber) Ended(*core.Stream)          { s.ended = true }

func (s *subscriber) Received(_ *core.Stream, message []byte) {
	require.Equal(s.t, s.next, binary.LittleEndian.Uint32(message))
	s.next++
	if !s.deaf {
		s.Receive()
	}
}

// publisher is the server's end of it.
type publisher struct {
	*core.Stream
	t     *testing.T
	next  uint32
	waits bool
	ended bool
}

func (p *publisher) Opened(*core.Stream, []byte)   {}
func (p *publisher) Received(*core.Stream, []byte) {}
func (p *publisher) Closed(*core.Stream)           {}
func (p *publisher) Sent(*core.Stream)             { p.waits = false }
func (p *publisher) Ended(*core.Stream)            { p.ended = true }

// publish sends the next number, of so many bytes, unless the one before has to wait.
func (p *publisher) publish(size int) {
	if p.waits || p.ended {
		return
	}
	message := make([]byte, size)
	binary.LittleEndian.PutUint32(message, p.next)
	p.next++
	more, err := p.Send(message)
	require.NoError(p.t, err)
	p.waits = !more
}

// subscribe opens streams of a client, of which the server's ends are in the end of all.
func (s *session) subscribe(count int, deaf bool) (all []*subscriber) {
	for range count {
		u := &subscriber{t: s.node.world.t, deaf: deaf}
		u.Method, u.User = quotes, u
		s.Open(&u.Stream)
		if !deaf {
			u.Receive()
		}
		all = append(all, u)
	}
	s.node.host.Kick()
	return all
}

func (n *node) publishes() *[]*publisher {
	var all []*publisher
	n.HandleStream(quotes, func(s *core.Stream) {
		p := &publisher{Stream: s, t: n.world.t}
		s.User = p
		all = append(all, p)
	})
	return &all
}

// A server pushes to many subscribers, over a network that loses and reorders. Those who
// do not read, and hosts that pause, keep nobody else waiting.
func TestSubscribersThatDoNotReadKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	stories(t, 4, func(w *world) {
		server := w.add("server", core.Config{})
		published := server.publishes()
		var good, deaf []*subscriber
		for i, name := range []string{"a", "b", "c"} {
			client := w.add(name, core.Config{})
			client.faults(sim.Faults{Loss: 0.01, Reorder: 0.02, ReorderDelay: 100 * time.Microsecond})
			s := client.connect(server)
			good = append(good, s.subscribe(50, false)...)
			if i == 0 {
				deaf = s.subscribe(50, true)
			}
		}
		w.within(time.Second, func() bool { return len(*published) == len(good)+len(deaf) })
		for range 300 {
			for _, p := range *published {
				p.publish(1000)
			}
			server.host.Kick()
			w.Run(200 * time.Microsecond)
		}
		stuck := 0
		w.within(time.Second, func() bool {
			stuck = 0
			for _, s := range good {
				if s.next < 300 {
					stuck++
				}
			}
			return stuck == 0
		})
		for _, s := range deaf {
			require.Zero(t, s.next)
			s.deaf = false
			s.Receive()
		}
		// What had to wait goes on as soon as somebody reads.
		w.nodes[1].host.Kick()
		w.Run(10 * time.Millisecond)
		for _, p := range *published {
			require.False(t, p.waits)
			p.End(core.OK, "", nil)
		}
		server.host.Kick()
		w.within(time.Second, func() bool {
			for _, s := range append(good, deaf...) {
				if !s.ended {
					return false
				}
			}
			return true
		})
		for _, s := range append(good, deaf...) {
			require.NoError(t, s.Err)
		}
		w.Run(time.Second)
		require.Zero(t, server.Stats().Streams)
	})
}

// A client that dies ends its streams at the server once it is given up; those of the
// others go on.
func TestStreamsOfAClientThatDiesEnd(t *testing.T) {
	t.Parallel()
	stories(t, 4, func(w *world) {
		server := w.add("server", core.Config{KeepAlive: 100 * time.Millisecond})
		published := server.publishes()
		dies, lives := w.add("dies", core.Config{}), w.add("lives", core.Config{})
		dies.connect(server).subscribe(20, false)
		good := lives.connect(server).subscribe(20, false)
		w.within(time.Second, func() bool { return len(*published) == 40 })
		dies.kill()
		for range 100 {
			for _, p := range *published {
				p.publish(100)
			}
			server.host.Kick()
			w.Run(10 * time.Millisecond)
		}
		ended := 0
		for _, p := range *published {
			if p.ended {
				ended++
				require.Equal(t, core.Unavailable, core.CodeOf(p.Err))
			} else {
				p.End(core.OK, "", nil)
			}
		}
		require.Equal(t, 20, ended)
		server.host.Kick()
		w.within(time.Second, func() bool { return server.Stats().Streams == 0 })
		for _, s := range good {
			require.NoError(t, s.Err)
			require.EqualValues(t, 100, s.next)
		}
		dies.start()
	})
}
