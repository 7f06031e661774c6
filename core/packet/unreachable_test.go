package packet_test

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestADeadPortIsKnownWithinARoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.host.Unreachable = true
	server, client := w.add(), w.add()
	server.host.Kill()
	out := client.dial(server.addr)
	began := w.Now()
	w.until(func() bool { return len(out.failures) == 1 })
	require.ErrorIs(t, out.failures[0].Cause, syscall.ECONNREFUSED)
	require.LessOrEqual(t, w.Now()-began, 2*oneWay+time.Microsecond)

	w.run(time.Second)
	server.restart()
	w.run(packet.MaxBackoff * 3 / 2)
	require.Equal(t, 1, out.ups)
}

func TestAConnectionIsGivenUpWhenItsHostProvesThatNobodyListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.host.Unreachable = true
	server, _, out, _ := w.pair()
	server.host.Kill()
	out.send(nil)
	began := w.Now()
	w.until(func() bool { return out.downs == 1 })
	require.ErrorIs(t, out.failures[0].Cause, syscall.ECONNREFUSED)
	require.LessOrEqual(t, w.Now()-began, 2*oneWay+time.Microsecond)
}

// hearsay is a port at which a test puts in what it hears of others.
type hearsay struct {
	transport.Transport
	reports []transport.Unreachable
}

func (h *hearsay) NextUnreachable() (u transport.Unreachable, ok bool) {
	if len(h.reports) == 0 {
		return u, false
	}
	u, h.reports = h.reports[0], h.reports[1:]
	return u, true
}

// hearsay puts what tests tell in the place of the ports that are added next.
func (w *world) hearsay() *hearsay {
	h := &hearsay{}
	w.over = func(p *sim.Port) transport.Transport {
		h.Transport = p
		return h
	}
	return h
}

func TestAForgedReportIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add()
	rumours := w.hearsay()
	client := w.add()
	out := client.dial(server.addr)
	tell := func(err error, to netip.AddrPort, data []byte) {
		rumours.reports = append(rumours.reports, transport.Unreachable{To: to, Err: err, Data: data})
		client.port.Wake()
		w.run(0)
	}
	// Amid a handshake: of another attempt, or about another peer.
	hello := make([]byte, 200)
	n := (&wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}).Put(hello)
	(&wire.HelloBody{Connection: out.conn.Inside().Index, Token: out.conn.Inside().Token ^ 2}).Put(hello[n:])
	tell(syscall.ECONNREFUSED, server.addr, hello)
	tell(syscall.ECONNREFUSED, server.addr, quoteOf(out.conn))
	tell(syscall.ECONNREFUSED, netip.MustParseAddrPort("10.0.0.1:2"), nil)
	require.Equal(t, packet.Connecting, out.conn.State())
	w.deliver(out, server.accept(), 1, 1, 10)

	// Of a connection: without its secret, or without the word that nobody listens.
	known, guessed := quoteOf(out.conn), quoteOf(out.conn)
	guessed[8] ^= 1
	tell(syscall.ECONNREFUSED, server.addr, nil)
	tell(syscall.ECONNREFUSED, server.addr, known[:11])
	tell(syscall.ECONNREFUSED, server.addr, guessed)
	tell(syscall.EHOSTUNREACH, server.addr, known)
	require.Equal(t, packet.Connected, out.conn.State())
	w.deliver(out, server.accept(), 1, 1, 10)
	tell(syscall.ECONNREFUSED, server.addr, known[:12])
	require.Equal(t, 1, out.downs)
	require.EqualValues(t, 8, client.Stats().RxUnreachable)
}

func TestWordOfANetworkThatIsNotThereEndsAnAttempt(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES, syscall.ECONNREFUSED} {
		w := newWorld(t, 1)
		w.partition()
		server := w.add()
		rumours := w.hearsay()
		out := w.add().dial(server.addr)
		w.run(time.Millisecond)
		rumours.reports = append(rumours.reports, transport.Unreachable{To: server.addr, Err: cause})
		w.run(0)
		require.Len(t, out.failures, 1)
		require.ErrorIs(t, out.failures[0].Cause, cause)
		require.Contains(t, out.failures[0].Reason, cause.Error())
		require.Equal(t, packet.Waiting, out.conn.State())
	}
}
