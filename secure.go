package peregrine

import (
	"cmp"
	"crypto/tls"
	"net/netip"
	"slices"

	"go.uber.org/zap"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
)

// WithTLS has all of the endpoint's connections sealed, those that it accepts and those
// that it dials, after a handshake of TLS 1.3 by config, which is used as in package
// net/http and not changed: a server needs Certificates or GetCertificate, and for
// clients that show who they are ClientAuth and ClientCAs; a client RootCAs, if not the
// host's. A client takes the name that it dials for ServerName, or the address.
// MinVersion and NextProtos are ours. Callbacks run on goroutines beside the loops, and may
// block for as long as a handshake may take (Config.ConnectTimeout).
//
// Session tickets resume sessions, unless SessionTicketsDisabled: then who the other side
// is comes from its ticket, and VerifyPeerCertificate is not called, but VerifyConnection
// is. Nothing is sent before the handshake is done (no 0-RTT).
//
// Who speaks plain text, or has a pre-shared key, is refused, with an error that says so.
func WithTLS(config *tls.Config) Option {
	return func(o *options) {
		if config == nil {
			o.refuse("tls", "WithTLS(nil): leave the option out for plain text")
			return
		}
		o.secrecy.tls = config
	}
}

// WithTLSFiles is [WithTLS] with a configuration made of files.
func WithTLSFiles(files TLSFiles) Option { return func(o *options) { o.secrecy.files = files } }

// WithPSK has all of the endpoint's connections sealed with a pre-shared key, as [WithTLS]
// does with certificates: for closed racks, and where there are none. Who has
// one of the keys gets in, and there is nothing else to tell peers apart by. The first
// key is used to dial, and all of them are good for who connects, so that a key can be
// replaced while all go on. Connections have secrets of their own, by X25519: who learns a key
// later cannot read what was recorded.
func WithPSK(keys ...PSK) Option {
	return func(o *options) {
		if len(keys) == 0 {
			o.refuse("psk", "WithPSK(): give a key, or leave the option out for plain text")
		}
		if slices.Contains(keys, PSK{}) {
			o.refuse("psk", "WithPSK: all zeros are no key: have one made, with crypto/rand")
		}
		o.secrecy.keys = keys
	}
}

// WithPSKFile is [WithPSK] with the keys of a file: see [LoadPSK].
func WithPSKFile(path string) Option { return func(o *options) { o.secrecy.keyFile = path } }

// secrecy is what options, file and URL say of how connections are sealed.
type secrecy struct {
	tls     *tls.Config
	files   TLSFiles
	keys    []PSK
	keyFile string
}

// secured says whether connections are sealed.
func (s *secrecy) secured() bool { return s.ways() > 0 }

func (s *secrecy) ways() (n int) {
	for _, is := range []bool{s.tls != nil, s.files != TLSFiles{}, len(s.keys) > 0, s.keyFile != ""} {
		if is {
			n++
		}
	}
	return n
}

// check says what cannot be obeyed, as far as that shows without looking at files.
func (s *secrecy) check(o *options) {
	if s.ways() > 1 {
		o.refuse("tls", "connections are sealed in one way: keep one of WithTLS, WithTLSFiles, WithPSK and WithPSKFile, "+
			"and of the keys tls and psk in file and URL")
	}
	o.add(s.files.check())
	if o.config.Security != nil && s.secured() {
		o.refuse("tls", "Config.Security is set as well: keep one")
	}
}

// secure has the engine seal connections, if that was asked for.
func (e *Endpoint) secure(o *options) (err error) {
	e.authorize = o.authorize
	config, keys := o.secrecy.tls, o.secrecy.keys
	switch {
	case o.secrecy.files != TLSFiles{}:
		config, err = o.secrecy.files.Config()
	case o.secrecy.keyFile != "":
		keys, err = LoadPSK(o.secrecy.keyFile)
	}
	switch {
	case err != nil:
		return err
	case len(keys) > 0:
		raw := make([][psk.KeySize]byte, len(keys))
		for i, k := range keys {
			raw[i] = k
		}
		e.security = "pre-shared key"
		o.config.Security, err = psk.New(raw, nil)
		return err
	case config == nil:
		return nil
	}
	e.byName = config.ServerName == ""
	// Each loop bounds its handshakes. In all there may be as many again whose callbacks go on
	// after they were given up.
	accepting := 2 * o.loops * cmp.Or(o.config.Handshakes, core.Defaults().Handshakes)
	security, err := handshake.New(handshake.Config{TLS: config, Accepting: accepting, Failed: func(peer netip.AddrPort, dialed bool, err error) {
		if !dialed { // else whoever dials gets the error
			e.log.Info("TLS handshake failed", zap.Stringer("peer", peer), zap.Error(err))
		}
	}})
	if err != nil {
		return &ConfigError{Key: "tls", Problem: err.Error()}
	}
	o.config.Security, e.security = security, "TLS 1.3"
	return nil
}

// Security says how the endpoint's connections are sealed: "TLS 1.3", "pre-shared key", or
// "" if they are plain text.
func (e *Endpoint) Security() string { return e.security }
