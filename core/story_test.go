package core

import (
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// echoServer adds a node that echoes.
func (n *network) echoServer(cfg Config) *node {
	d := n.add(cfg)
	d.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	return d
}

// connect opens a session and waits until it is connected.
func (n *network) connect(client, server *node) *Session {
	n.t.Helper()
	s, err := client.Connect(server.addr)
	require.NoError(n.t, err)
	ready := false
	s.Ready(func(err error) {
		require.NoError(n.t, err)
		ready = true
	})
	n.until(func() bool { return ready })
	return s
}

// submit starts c and counts its completions, of which there must be one.
func (n *network) submit(s *Session, c *Call) *int {
	done := new(int)
	c.Done = func(*Call) {
		*done++
		require.Equal(n.t, 1, *done, "a call completed twice")
	}
	s.Submit(c)
	return done
}

// fails makes a call that must not succeed, and returns how it failed.
func (n *network) fails(s *Session, c *Call) *Error {
	n.t.Helper()
	n.call(s, c)
	return failure(n.t, c)
}

func failure(t tester, c *Call) *Error {
	t.Helper()
	var err *Error
	require.ErrorAs(t, c.Err, &err)
	return err
}

// echoes makes an echo call and checks the reply.
func (n *network) echoes(s *Session, size int) {
	n.t.Helper()
	c := Call{Method: echo, Request: pattern(size, 9), Buf: make([]byte, 0, size)}
	n.call(s, &c)
	require.NoError(n.t, c.Err)
	require.True(n.t, string(c.Request) == string(c.Response), "the reply differs from the request")
}

// typeOf is the type of a datagram.
func typeOf(data []byte) wire.Type { return wire.Type(data[1] & 0xF) }

// holds says whether a datagram holds a message of a kind.
func holds(data []byte, kind wire.Kind) bool {
	var h wire.Header
	rest, err := h.Parse(data)
	if err != nil || h.Type != wire.Data {
		return false
	}
	var m wire.Message
	for len(rest) > 0 {
		if rest, err = m.Parse(rest); err != nil {
			return false
		}
		if m.Kind == kind {
			return true
		}
	}
	return false
}

// toward returns the client's record of the connection to a server.
func (d *node) toward(server *node) *packet.Conn { return d.packets.To(server.addr) }

// muxOf returns what a connection carries.
func muxOf(c *packet.Conn) *mux { return c.Layer().(*mux) }

// accepted returns a server's records of its connections.
func (d *node) accepted() (all []*packet.Conn) {
	for c := range d.packets.Conns() {
		if !c.Dialed() {
			all = append(all, c)
		}
	}
	return all
}

// onlyClient returns a server's record of its only connection.
func (d *node) onlyClient() *packet.Conn {
	all := d.accepted()
	require.Len(d.net.t, all, 1)
	return all[0]
}

// dialed is how many connections a node began.
func (d *node) dialed() (count int) {
	for c := range d.packets.Conns() {
		if c.Dialed() {
			count++
		}
	}
	return count
}
