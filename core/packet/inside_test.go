package packet

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// mute is a layer that has nothing to say.
type mute struct{}

func (mute) Next() Next                 { return Nothing }
func (mute) Fill(*Run) (int, Next)      { return 0, Nothing }
func (mute) Arrived(uint32, int)        {}
func (mute) Lost(uint32, int)           {}
func (mute) Ping(int)                   {}
func (mute) Take([]byte)                {}
func (mute) Expects(int) ([]byte, int)  { return nil, 0 }
func (mute) TakeApart(_, _ []byte) bool { return false }
func (mute) Offer(own *wire.Params)     { own.Slots, own.Sessions = 1, 1 }
func (mute) Up(*wire.Params)            {}
func (mute) Measured(time.Duration)     {}
func (mute) Quiet()                     {}
func (mute) Down(*Failure)              {}
func (mute) Failed(*Failure, bool)      {}
func (mute) Rested()                    {}
func (mute) Gone()                      {}

// linked is a host that has a link.
func linked() *sim.Host {
	n := sim.New(1)
	host, other := n.Host("host", sim.HostConfig{}), n.Host("other", sim.HostConfig{})
	n.Link(host, other, sim.LinkConfig{MTU: 1500})
	return host
}

func newMute(t *testing.T, tr transport.Transport) *Endpoint {
	cfg := Config{
		Peers: 10, Credits: 16, MaxDatagram: 1472, AckDelay: time.Millisecond, KeepAlive: time.Second,
		ConnectTimeout: time.Second, Controller: cc.None(cc.DefaultWindow), Seed: [32]byte{7},
	}
	e, err := New(cfg, tr, func(*Conn) Layer { return mute{} }, time.Second)
	require.NoError(t, err)
	return e
}

// Who has a token of one queue could guess those of the others, were they drawn alike.
func TestTheQueuesOfAnAddressDrawTokensOfTheirOwn(t *testing.T) {
	t.Parallel()
	tokens := map[uint32]bool{}
	for _, port := range linked().OpenQueues(1, 4, sim.AtRandom) {
		e := newMute(t, port)
		for range 10 {
			tokens[e.newToken()] = true
		}
	}
	require.Len(t, tokens, 40)
}

// routed counts the routes of a port that are resolved and not forgotten.
type routed struct {
	*sim.Port
	routes int
}

func (r *routed) Resolve(netip.AddrPort, netip.Addr) (transport.Route, error) {
	r.routes++
	return 0, nil
}

func (r *routed) Forget(transport.Route) { r.routes-- }

func TestAnAddressThatIsTakenCostsNoRoute(t *testing.T) {
	t.Parallel()
	tr := &routed{Port: linked().Open(1)}
	e := newMute(t, tr)
	here, there := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.9:9")
	for _, from := range []netip.AddrPort{here, there} {
		e.hello = wire.HelloBody{Connection: 1, Token: 3, Params: e.params(mute{})}
		e.admit(&transport.RxPacket{From: from})
	}
	require.Len(t, e.accepted, 2)
	require.Equal(t, 2, tr.routes)
	e.conns[0].check = &pathCheck{addr: there}
	e.conns[0].moved()
	e.Send()
	require.Equal(t, here, e.conns[0].addr)
	require.Equal(t, 2, tr.routes)
}

// What a decision is made of changes nothing that is known: only carrying it out does.
func TestADecisionChangesNothing(t *testing.T) {
	t.Parallel()
	e := newMute(t, linked().Open(1))
	from := netip.MustParseAddrPort("192.0.2.1:1")
	body := wire.HelloBody{Connection: 1, Token: 3, Params: e.params(mute{}), Cookie: e.cookies.make(from, 1, 3, e.now)}
	data := make([]byte, wire.MinHello)
	h := wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}
	size := h.Put(data)
	body.Put(data[size:])
	for range 3 {
		d, err := e.decide(&h, data[size:], &transport.RxPacket{Data: data, From: from})
		require.NoError(t, err)
		require.Equal(t, decision{do: admit}, d)
	}
	held, err := e.Held()
	require.NoError(t, err)
	require.Equal(t, Held{}, held)
	require.Zero(t, e.Stats())
}
