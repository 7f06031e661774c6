package secureflag

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/peregrine-rpc/peregrine"
)

// Set is where flags are registered: that of package flag, and pflag's.
type Set interface {
	StringVar(to *string, name, value, usage string)
	BoolVar(to *bool, name string, value bool, usage string)
}

// Flags say how connections are sealed.
type Flags struct {
	TLS peregrine.TLSFiles
	PSK string // path
	// Plain is of a server that may be plain text where others reach it.
	Plain bool
}

// Register adds what clients and servers have alike.
func (f *Flags) Register(s Set) {
	s.StringVar(&f.TLS.Cert, "tls-cert", "", "seal connections by TLS 1.3, with the certificate in this PEM `file`")
	s.StringVar(&f.TLS.Key, "tls-key", "", "PEM `file` with the certificate's private key")
	s.StringVar(&f.TLS.CA, "tls-ca", "", "PEM `file` with the authorities that the other side's certificate may be from, or system for the host's")
	s.StringVar(&f.TLS.Name, "tls-name", "", "whose certificate a server must have, if not that of the name dialled")
	s.StringVar(&f.PSK, "psk", "", "seal connections with the pre-shared key in this `file`: openssl rand -hex 32 makes one")
}

// RegisterServer adds what only servers have.
func (f *Flags) RegisterServer(s Set) {
	s.BoolVar(&f.Plain, "plain", false, "serve plain text also where others reach it")
	s.BoolVar(&f.TLS.Mutual, "tls-mutual", false, "clients must show a certificate, too, of an authority in --tls-ca")
}

// Options are those of an endpoint; none: connections are plain text. What the environment
// variable SSLKEYLOGFILE names gets the secrets of TLS, as browsers write them.
func (f *Flags) Options() (opts []peregrine.Option) {
	if f.TLS != (peregrine.TLSFiles{}) {
		files := f.TLS
		files.KeyLog = os.Getenv("SSLKEYLOGFILE")
		opts = append(opts, peregrine.WithTLSFiles(files))
	}
	if f.PSK != "" {
		opts = append(opts, peregrine.WithPSKFile(f.PSK))
	}
	return opts
}

// CheckServer says why the flags make no server: it could show no certificate, or looks as if it
// asked for those of clients.
func (f *Flags) CheckServer() error {
	switch {
	case f.TLS != (peregrine.TLSFiles{}) && f.TLS.Cert == "":
		return errors.New("a server has to show a certificate: give --tls-cert and --tls-key")
	case f.TLS.CA != "" && !f.TLS.Mutual:
		return errors.New("--tls-ca says whose certificates clients have to show, but none is asked for: give --tls-mutual as well, or leave it out")
	}
	return nil
}

// ErrPlain is of a server that others reach, and that nobody has said may serve them.
var ErrPlain = errors.New("others can reach this address, and whoever does may call, read and forge, since connections are plain text: " +
	"give --tls-cert and --tls-key, or --psk, or say --plain if that is meant (in a file tls, psk, or plain: true)")

// MayServe says why an endpoint is not to serve: it is plain text, where others reach it, and
// nobody has asked for that.
func (f *Flags) MayServe(e *peregrine.Endpoint) error {
	if e.Security() == "" && !f.Plain && !e.Addr().Addr().IsLoopback() {
		return fmt.Errorf("%v: %w", e.Addr(), ErrPlain)
	}
	return nil
}

// Announce says how connections are sealed, or that they are not.
func Announce(w io.Writer, e *peregrine.Endpoint) {
	fmt.Fprintf(w, "connections: %s\n", cmp.Or(e.Security(), "plain text, open to all who reach the port"))
}
