package packet_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// stranger is the address of somebody who is not there.
var stranger = netip.MustParseAddrPort("192.0.2.1:1")

// FuzzDatagrams gives both ends of a connection that carries blobs anything to
// take in, as from the other end or from a stranger, with the right index and
// token or as it is, and a right checksum or not. Nothing panics, accounts stay
// right, and a connection whose secrets nobody used still works.
func FuzzDatagrams(f *testing.F) {
	f.Add([]byte{0xF7, 0x10}, byte(0))
	for typ := range byte(10) {
		for how := range byte(16) {
			f.Add(append([]byte{0xF7, 0x10 | typ, 1, 0}, make([]byte, 60)...), how)
		}
	}
	f.Add(append([]byte{0xF7, 0x11, 0, 1}, bytes.Repeat([]byte{0xFF}, 40)...), byte(1|2))
	f.Fuzz(func(t *testing.T, data []byte, how byte) {
		w := newWorld(t, 1)
		server, client := w.add(), w.add()
		out := client.dial(server.addr)
		w.deliver(out, server.accept(), 1, 1, 300)
		to, from, conn := server, client, server.accepted[0].conn
		if how&8 != 0 {
			to, from, conn = from, to, out.conn
		}
		source := from.addr
		if how&1 == 0 {
			source = stranger
		}
		data = bytes.Clone(data)
		if how&2 != 0 && len(data) >= wire.HeaderSize {
			binary.LittleEndian.PutUint32(data[4:], conn.Inside().Index)
			binary.LittleEndian.PutUint32(data[8:], conn.Inside().Token)
		}
		if how&4 != 0 && len(data) >= wire.HeaderSize+wire.ChecksumSize {
			wire.Seal(data, nil)
		}
		to.port.Deliver(source, data, transport.NotECT)
		w.run(4 * time.Second)
		if how&2 == 0 {
			require.Zero(t, out.downs)
		}
		out.send(blobOf(1, 300))
		w.until(func() bool { return out.arrived == 2 })
	})
}

// FuzzUnreachable has reports quote anything, amid a handshake and of a
// connection, which they end only with what proves them.
func FuzzUnreachable(f *testing.F) {
	f.Add([]byte{}, true, false)
	f.Add([]byte{0xF7, 0x10}, false, false)
	f.Add([]byte{0xF7, 0x12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 1, 0, 0, 0}, true, true)
	f.Fuzz(func(t *testing.T, data []byte, refused, proves bool) {
		w := newWorld(t, 1)
		server, client := w.add(), w.add()
		out := client.dial(server.addr)
		u := transport.Unreachable{To: server.addr, Err: syscall.EHOSTUNREACH, Data: data}
		if refused {
			u.Err = syscall.ECONNREFUSED
		}
		client.InjectUnreachable(&u)
		client.InjectUnreachable(&transport.Unreachable{To: stranger, Err: u.Err, Data: data})
		w.run(packet.MaxBackoff)
		require.Equal(t, packet.Connected, out.conn.State())

		if proves {
			u.Data = append(quoteOf(out.conn), data...)
		}
		client.InjectUnreachable(&u)
		server.InjectUnreachable(&transport.Unreachable{To: client.addr, Err: u.Err, Data: data})
		require.Equal(t, proves && refused, out.downs > 0)
		require.NotEmpty(t, server.accepted)
		require.False(t, server.accepted[0].gone)
	})
}

// quoteOf is the beginning of what a connection sends.
func quoteOf(c *packet.Conn) []byte {
	data := make([]byte, wire.HeaderSize)
	(&wire.Header{Type: wire.Data, Connection: c.Inside().RemoteIndex, Token: c.Inside().RemoteToken}).Put(data)
	return data
}
