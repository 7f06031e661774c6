package packet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// world is a simulated network of sites, with one switch between all of them.
type world struct {
	*sim.Network
	t      *testing.T
	middle *sim.Switch
	sites  []*site
	wires  []*sim.Pipe // from each host to the switch
	sent   int         // datagrams

	// What hosts and sites that are added from now on find.
	host sim.HostConfig
	link sim.LinkConfig
	over func(*sim.Port) transport.Transport

	// fate, if set, decides on each datagram, which it may change.
	fate func(*sim.Packet) sim.Verdict
}

// oneWay is how long a datagram takes, and headers what it has of IP and UDP.
const (
	oneWay  = 20 * time.Microsecond
	headers = 28
)

// site is an endpoint of blobs, its port and its host.
type site struct {
	*packet.Endpoint
	w        *world
	host     *sim.Host
	port     *sim.Port
	addr     netip.AddrPort
	accepted []*blobs
}

// seeds is how many of count tell a story in which a short run, to look for races,
// finds them all.
func seeds(count uint64) uint64 {
	if testing.Short() {
		return min(count, 2)
	}
	return count
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{Network: sim.New(seed), t: t, link: sim.LinkConfig{Delay: oneWay / 2, MTU: 1500}}
	w.middle = w.Switch("middle")
	w.over = func(p *sim.Port) transport.Transport { return p }
	return w
}

// plug adds a host.
func (w *world) plug() *sim.Host {
	h := w.Host(fmt.Sprintf("host%d", len(w.Hosts())+1), w.host)
	out := w.Link(h, w.middle, w.link).Toward(w.middle)
	out.Intercept(func(p *sim.Packet) sim.Verdict {
		if p.Unreachable != nil {
			return sim.Verdict{}
		}
		w.sent++
		if w.fate == nil {
			return sim.Verdict{}
		}
		return w.fate(p)
	})
	w.wires = append(w.wires, out)
	return h
}

// faults are those of all links from now on.
func (w *world) faults(f sim.Faults) {
	for _, out := range w.wires {
		out.SetFaults(f)
	}
}

// partition cuts all traffic, until heal.
func (w *world) partition() {
	w.fate = func(*sim.Packet) sim.Verdict { return sim.Verdict{Drop: true} }
}

func (w *world) heal() {
	w.fate = nil
	w.faults(sim.Faults{})
}

// add adds a site on a host of its own.
func (w *world) add(set ...func(*packet.Config)) *site {
	s := &site{w: w, host: w.plug()}
	w.sites = append(w.sites, s)
	s.start(s.host.Open(1), set...)
	return s
}

// addQueues adds the sites of several queues of one address, between which the
// network chooses at random.
func (w *world) addQueues(count int, set ...func(*packet.Config)) []*site {
	h := w.plug()
	var all []*site
	others := func(s *site, f func(queue int, other *site)) {
		for i, other := range all {
			if other != s {
				f(i, other)
				other.port.Wake()
			}
		}
	}
	for _, port := range h.OpenQueues(1, count, sim.AtRandom) {
		s := &site{w: w, host: h}
		all = append(all, s)
		s.start(port, append(set, func(c *packet.Config) {
			c.Seed = [32]byte{7}
			c.Misrouted = func(to int, rx *transport.RxPacket) {
				others(s, func(queue int, other *site) {
					if copied := *rx; queue == to || to < 0 {
						copied.Data = bytes.Clone(rx.Data)
						other.Inject(&copied)
					}
				})
			}
			c.Misreported = func(u *transport.Unreachable) {
				others(s, func(_ int, other *site) { other.InjectUnreachable(u) })
			}
		})...)
	}
	w.sites = append(w.sites, all...)
	return all
}

// restart replaces the endpoint by a new one at the same address, as if the process
// had been killed.
func (s *site) restart() {
	s.host.Kill()
	s.accepted = nil
	s.start(s.host.Open(1))
}

func (s *site) start(port *sim.Port, set ...func(*packet.Config)) {
	cfg := packet.Config{
		Peers: 100, Credits: 256, MaxDatagram: 8972, AckDelay: 500 * time.Microsecond, KeepAlive: 3 * time.Second,
		ConnectTimeout: time.Second, Controller: cc.None(cc.DefaultWindow),
	}
	binary.LittleEndian.PutUint64(cfg.Seed[:], s.w.Rand().Uint64())
	switch name := s.w.t.Name(); {
	case strings.HasPrefix(name, keyedStories+"/"):
		keyed(1)(&cfg)
	case strings.HasPrefix(name, tlsStories+"/"):
		certified(s.w.t)(&cfg)
	}
	for _, f := range set {
		f(&cfg)
	}
	var err error
	s.Endpoint, err = packet.New(cfg, s.w.over(port), func(c *packet.Conn) packet.Layer {
		b := newBlobs(c)
		s.accepted = append(s.accepted, b)
		return b
	}, s.w.Now())
	require.NoError(s.w.t, err)
	s.port, s.addr = port, port.LocalAddr()
	s.host.Run(s.Endpoint, port)
}

func (s *site) dial(to netip.AddrPort) *blobs {
	b := newBlobs(nil)
	c, err := s.Dial(to, b)
	require.NoError(s.w.t, err)
	b.conn = c
	c.Connect()
	return b
}

// connect makes a connection, and lets it find its MTU.
func (w *world) connect(client, server *site) (out, in *blobs) {
	w.t.Helper()
	before := len(server.accepted)
	out = client.dial(server.addr)
	w.until(func() bool { return out.ups == 1 })
	w.run(10 * time.Millisecond)
	return out, server.accepted[before]
}

// pair is a server and a client, with a connection from this to that.
func (w *world) pair(set ...func(*packet.Config)) (server, client *site, out, in *blobs) {
	w.t.Helper()
	server, client = w.add(set...), w.add(set...)
	out, in = w.connect(client, server)
	return server, client, out, in
}

// run lets time pass: 0 lets everybody do what there is to do now.
func (w *world) run(d time.Duration) {
	w.kick()
	w.Run(d)
	w.look()
}

// until runs until done, and fails the test if that takes more than a minute of
// virtual time.
func (w *world) until(done func() bool) {
	w.t.Helper()
	w.kick()
	require.NoError(w.t, w.Until(time.Minute, done))
	w.run(0)
}

func (w *world) kick() {
	for _, s := range w.sites {
		s.host.Kick()
	}
}

// look tells the endpoints the time, for what the test gives them to do next, and
// checks their accounts.
func (w *world) look() {
	for _, s := range w.sites {
		require.NoError(w.t, s.host.Err())
		s.Advance(w.Now())
		s.held()
	}
}

func (s *site) held() packet.Held {
	h, err := s.Held()
	require.NoError(s.w.t, err)
	return h
}

// deliver sends blobs of size bytes, with so many at most under way, and waits until
// all are there, as they were sent.
func (w *world) deliver(out, in *blobs, window, count, size int) {
	w.t.Helper()
	first, last := out.sent, out.sent+count
	w.until(func() bool {
		for out.sent < last && out.sent-out.arrived < window {
			out.send(blobOf(out.sent, size))
			w.kick()
		}
		return out.arrived == last
	})
	for i := first; i < last; i++ {
		require.True(w.t, bytes.Equal(blobOf(i, size), in.received[uint32(i)]), "blob %d", i)
		delete(in.received, uint32(i))
	}
}

// settled checks that nothing is left over once all blobs have arrived.
func (w *world) settled(sites ...*site) {
	w.t.Helper()
	w.run(3 * time.Second)
	for _, s := range sites {
		for c := range s.Conns() {
			w.until(func() bool { return c.Inside().InFlight == 0 }) // but for a keep-alive
			require.Zero(w.t, c.Inside().Bytes)
			require.LessOrEqual(w.t, c.Inside().Rings, c.Inside().LeastRings, "an idle connection's ring is given back")
		}
		require.Zero(w.t, s.held().Paced+s.held().Built+s.held().Strays)
	}
}

// typeOf is the type of a datagram.
func typeOf(data []byte) wire.Type { return wire.Type(data[1] & 0xF) }

// holdsBlobs says whether a datagram holds blobs.
func holdsBlobs(data []byte) bool {
	var h wire.Header
	rest, err := h.Parse(data)
	return err == nil && h.Type == wire.Data && len(rest) > 0 && rest[0] == blobMark
}

// blobOf is what blob number i holds.
func blobOf(i, size int) []byte {
	b := make([]byte, size)
	for j := range b {
		b[j] = byte(j*7) ^ byte(j>>8) ^ byte(i) ^ byte(i>>8)
	}
	return b
}

// accept waits for a connection.
func (s *site) accept() *blobs {
	s.w.t.Helper()
	s.w.until(func() bool { return len(s.accepted) > 0 })
	return s.accepted[len(s.accepted)-1]
}
