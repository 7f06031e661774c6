package packet_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

var (
	authority = testcert.New("authority")
	identity  = authority.Issue("server")
)

// certified has a site take and make only connections sealed after a TLS handshake, which
// is computed where it is called, so that virtual time does not pass meanwhile.
func certified(t *testing.T, set ...func(*tls.Config)) func(*packet.Config) {
	return secured(t, func(work func()) { work() }, set...)
}

// secured is certified with handshakes that run as told.
func secured(t *testing.T, run func(work func()), set ...func(*tls.Config)) func(*packet.Config) {
	config := &tls.Config{
		Certificates: []tls.Certificate{identity}, RootCAs: authority.Pool(), ClientCAs: authority.Pool(), ServerName: "server",
	}
	for _, f := range set {
		f(config)
	}
	security, err := handshake.New(handshake.Config{TLS: config, Run: run})
	require.NoError(t, err)
	return func(c *packet.Config) { c.Security, c.Handshakes = security, 64 }
}

// mutual demands certificates of clients.
func mutual(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert }

func TestATLSConnectionKnowsBothSides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair(certified(t, mutual))
	w.deliver(out, in, 10, 100, 3000)
	w.deliver(in, out, 10, 100, 3000)
	for _, b := range []*blobs{out, in} {
		state, ok := b.conn.Peer().(*tls.ConnectionState)
		require.True(t, ok, "%T", b.conn.Peer())
		require.Equal(t, "server", state.PeerCertificates[0].Subject.CommonName)
		require.Equal(t, "peregrine/1", state.NegotiatedProtocol)
	}
	w.run(10 * time.Second)
	w.settled(server, client)
}

func TestATLSConnectionIsMadeWhateverIsLost(t *testing.T) {
	t.Parallel()
	for seed := range seeds(30) {
		w := newWorld(t, seed)
		server, client := w.add(certified(t, mutual)), w.add(certified(t, mutual))
		w.faults(sim.Faults{Loss: 0.25, Duplicate: 0.2, Reorder: 0.3, ReorderDelay: 200 * time.Microsecond, Corrupt: 0.02})
		out := client.dial(server.addr)
		w.until(func() bool {
			return out.ups > 0 && len(server.accepted) > 0 && slices.ContainsFunc(server.accepted, isUp)
		})
		in := server.accepted[slices.IndexFunc(server.accepted, isUp)]
		w.deliver(out, in, 5, 30, 3000)
		w.deliver(in, out, 5, 30, 3000)
	}
}

func isUp(b *blobs) bool { return b.ups > 0 && !b.gone }

// long is a chain of about so many bytes.
func long(bytes int) func(*tls.Config) {
	return func(c *tls.Config) {
		chain := c.Certificates[0]
		chain.Certificate = slices.Clone(chain.Certificate)
		for size := 0; size < bytes; {
			more := authority.Issue("filler").Certificate[0]
			chain.Certificate = append(chain.Certificate, more)
			size += len(more)
		}
		c.Certificates = []tls.Certificate{chain}
	}
}

func TestLongChainsArriveWhateverIsLost(t *testing.T) {
	t.Parallel()
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		chains := certified(t, mutual, long(14<<10))
		server, client := w.add(chains), w.add(chains)
		w.faults(sim.Faults{Loss: 0.15})
		out := client.dial(server.addr)
		w.until(func() bool { return out.ups > 0 && slices.ContainsFunc(server.accepted, isUp) })
	}
}

func TestAClientWithoutACertificateReachesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add(certified(t, mutual))
	client := w.add(certified(t, func(c *tls.Config) { c.Certificates = nil }))
	out := client.dial(server.addr)
	out.send(blobOf(0, 100))
	w.run(3 * time.Second)
	for _, in := range server.accepted {
		require.Zero(t, in.ups)
		require.Empty(t, in.received)
	}
	require.NotZero(t, server.Stats().HandshakesFailed)
	require.NotEmpty(t, out.failures)
	require.EqualValues(t, 16, out.failures[0].Code, out.failures[0].Reason)
	require.Less(t, out.ups, 30, "it rests between attempts")
}

func TestAServerThatIsNotTheOneIsNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var seen []wire.Type
	server := w.add(certified(t))
	client := w.add(certified(t, func(c *tls.Config) { c.ServerName = "another" }))
	w.fate = func(p *sim.Packet) sim.Verdict {
		seen = append(seen, typeOf(p.Data))
		return sim.Verdict{}
	}
	out := client.dial(server.addr)
	w.until(func() bool { return len(out.failures) > 0 })
	var wrong x509.HostnameError
	require.ErrorAs(t, out.failures[0].Cause, &wrong)
	require.Zero(t, out.ups)
	require.NotContains(t, seen, wire.Data)
	w.run(10 * time.Millisecond)
	require.Zero(t, server.held().Accepted, "the server is told")
}

func TestTLSSpoofedHelloIsAnsweredWithLess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client := w.add(certified(t)), w.add(certified(t))
	asked, answered := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
	w.fate = func(p *sim.Packet) sim.Verdict {
		if p.To == server.addr {
			asked[p.From] += len(p.Data)
			return sim.Verdict{}
		}
		answered[p.To] += len(p.Data)
		return sim.Verdict{Drop: true} // it was spoofed: nobody comes back with the cookie
	}
	client.dial(server.addr)
	w.run(time.Second)
	require.NotZero(t, answered[client.addr])
	require.LessOrEqual(t, answered[client.addr], asked[client.addr]/10)
	require.Zero(t, server.held().Accepted)
}

func TestATicketResumesTheNextConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client := w.add(certified(t)), w.add(certified(t))
	for i := range 3 {
		out, in := w.connect(client, server)
		w.deliver(out, in, 1, 1, 100)
		w.run(time.Second)
		for _, b := range []*blobs{out, in} {
			require.Equal(t, i > 0, b.conn.Peer().(*tls.ConnectionState).DidResume)
		}
		out.conn.Close("done")
		w.until(func() bool { return in.gone })
	}
}

// What a client sends right behind its handshake comes before its server knows who it is, and
// is dropped. It is asked for as soon as the server does, and not once the client gets nervous.
func TestWhatComesBeforeTheClientIsVerifiedIsSentAgainAtOnce(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*tls.Config){
		"with tickets": func(*tls.Config) {},
		"without":      func(c *tls.Config) { c.SessionTicketsDisabled = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			var held []func()
			slow := false
			security := secured(t, func(work func()) {
				if slow {
					held = append(held, work)
				} else {
					work()
				}
			}, set)
			server, client := w.add(security), w.add(certified(t, set))
			out := client.dial(server.addr)
			w.fate = func(p *sim.Packet) sim.Verdict {
				slow = slow || p.From == client.addr && p.Data[2]&wire.FlagSealed != 0
				return sim.Verdict{}
			}
			out.send(blobOf(0, 300))
			w.until(func() bool { return len(held) > 0 })
			require.Equal(t, 1, out.ups, "it takes itself for connected")
			w.run(time.Millisecond)
			require.EqualValues(t, 1, server.Stats().RxUnknown, "the data, and no more in vain")
			slow, w.fate = false, nil
			for _, work := range held {
				work()
			}
			server.port.Wake()
			began := w.Now()
			w.until(func() bool { return out.arrived == 1 })
			require.LessOrEqual(t, w.Now()-began, 4*oneWay+100*time.Microsecond)
			require.Zero(t, client.Stats().ProbeTimeouts)
		})
	}
}

// Handshakes are computed beside the loop: what the server has sealed is there before the client
// knows the keys, and waits for them.
func TestAHandshakeTakesNoLongerThanItsRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var work []func()
	beside := func(f func()) { work = append(work, f) }
	server, client := w.add(secured(t, beside, mutual)), w.add(secured(t, beside, mutual))
	out := client.dial(server.addr)
	for out.ups == 0 || !slices.ContainsFunc(server.accepted, isUp) {
		w.run(10 * time.Microsecond)
		now := work
		work = nil
		for _, f := range now {
			f()
		}
		require.Less(t, w.Now(), time.Second+10*time.Millisecond, "somebody waited for a timer")
	}
	require.Zero(t, client.Stats().RxUnknown)
}

// A server that is done says its last again until that has arrived, but not for ever.
func TestWhatAServerSaysBehindAHandshakeIsRepeatedForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client := w.add(certified(t)), w.add(certified(t))
	var last time.Duration
	w.fate = func(p *sim.Packet) sim.Verdict {
		if typeOf(p.Data) == wire.PostCrypto && p.From == server.addr {
			last = w.Now()
		}
		return sim.Verdict{Drop: typeOf(p.Data) == wire.PostCrypto && p.From == client.addr} // so that it does not know
	}
	out := client.dial(server.addr)
	w.until(func() bool { return len(server.accepted) == 1 && server.accepted[0].ups == 1 })
	done := w.Now()
	w.run(packet.Afterwards - 10*time.Millisecond)
	require.Equal(t, 1, server.held().Exchanges)
	require.Greater(t, last, w.Now()-packet.Afterwards/2, "it is still said")
	w.run(packet.Afterwards / 2)
	require.Zero(t, server.held().Exchanges+client.held().Exchanges)
	require.LessOrEqual(t, last, done+packet.Afterwards)
	w.heal()
	w.deliver(out, server.accepted[0], 1, 1, 100)
}

func TestAServerAnswersAHandshakeThatFailedForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client := w.add(certified(t, mutual)), w.add(certified(t, func(c *tls.Config) { c.Certificates = nil }))
	w.fate = func(p *sim.Packet) sim.Verdict {
		return sim.Verdict{Drop: p.From == server.addr && server.Stats().HandshakesFailed > 0}
	}
	out := client.dial(server.addr)
	w.until(func() bool { return server.Stats().HandshakesFailed == 1 })
	w.run(packet.FailureLinger / 2)
	require.Empty(t, out.failures)
	w.fate = nil
	w.until(func() bool { return len(out.failures) > 0 })
	require.EqualValues(t, 16, out.failures[0].Code, "why is told late, too")

	w.partition()
	w.run(packet.FailureLinger / 3)
	require.Equal(t, 1, server.held().Accepted)
	w.run(packet.FailureLinger / 3)
	require.Zero(t, server.held().Accepted+server.held().Exchanges)
}
