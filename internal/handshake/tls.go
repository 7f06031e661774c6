package handshake

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Config says how handshakes are done.
type Config struct {
	// TLS is the user's configuration, of both roles. It is not changed.
	TLS *tls.Config
	// Accepting is how many handshakes that others began may be under way at a time; 0:
	// 4096. Beyond, Begin fails with ErrBusy. One that is closed counts while a callback of
	// its goes on.
	Accepting int
	// Failed, if set, is told of each handshake that failed, with all that is known of
	// why: the peer is told less. Any goroutine calls it.
	Failed func(peer netip.AddrPort, dialed bool, err error)
	// Run runs work soon, without waiting for it; nil: on a goroutine.
	Run func(work func())
}

const defaultAccepting = 4096

// ErrBusy is of a server that has as many handshakes under way as it may have.
var ErrBusy = errors.New("handshake: as many are under way as may be")

// TLS makes handshakes of TLS 1.3: a packet.Security. It may be shared by the
// endpoints of several loops.
type TLS struct {
	config    *tls.Config
	accepting atomic.Int64
	limit     int64
	failed    func(netip.AddrPort, bool, error)
	run       func(func())
}

var _ packet.Security = (*TLS)(nil)

// New checks a configuration.
func New(c Config) (*TLS, error) {
	config, err := prepare(c.TLS)
	if err != nil {
		return nil, err
	}
	t := &TLS{config: config, limit: int64(c.Accepting), failed: c.Failed, run: c.Run}
	if t.limit == 0 {
		t.limit = defaultAccepting
	}
	if t.failed == nil {
		t.failed = func(netip.AddrPort, bool, error) {}
	}
	if t.run == nil {
		t.run = func(work func()) { go work() }
	}
	return t, nil
}

// Feature is wire.FeatureTLS.
func (t *TLS) Feature() uint32 { return wire.FeatureTLS }

// Begin begins a handshake. A client that was told no name of its server, by b or by the
// tls.Config, wants a certificate for the server's address.
func (t *TLS) Begin(b packet.Beginning) (packet.Handshake, error) {
	h := &handshake{owner: t, peer: b.Peer, dialed: b.Dialed, wake: b.Wake}
	config := t.config
	if b.Dialed {
		if config.ServerName == "" {
			config = config.Clone()
			if config.ServerName = b.Name; b.Name == "" {
				config.ServerName = b.Peer.Addr().WithZone("").String()
			}
		}
		h.quic = tls.QUICClient(&tls.QUICConfig{TLSConfig: config})
	} else {
		if t.accepting.Add(1) > t.limit {
			t.accepting.Add(-1)
			return nil, ErrBusy
		}
		h.quic = tls.QUICServer(&tls.QUICConfig{TLSConfig: config})
	}
	h.quic.SetTransportParameters(append([]byte{}, b.Params...))
	h.begin()
	return h, nil
}

// Account is the same for all connections of one verified certificate.
func (t *TLS) Account(peer any) string {
	state, _ := peer.(*tls.ConnectionState)
	if state == nil || len(state.VerifiedChains) == 0 {
		return "" // whoever likes can have any number of these
	}
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	return string(sum[:])
}
