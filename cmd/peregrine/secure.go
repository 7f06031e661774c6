package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/peregrine-rpc/peregrine"
)

// secureFlags say how connections are sealed.
type secureFlags struct {
	tls peregrine.TLSFiles
	psk string
}

func (f *secureFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.tls.Cert, "tls-cert", "", "seal connections by TLS 1.3, with the certificate in this PEM `file`")
	flags.StringVar(&f.tls.Key, "tls-key", "", "PEM `file` with the certificate's private key")
	flags.StringVar(&f.tls.CA, "tls-ca", "", "PEM `file` with the authorities that the other side's certificate may be from, or system for the host's")
	flags.StringVar(&f.tls.Name, "tls-name", "", "whose certificate a server must have, if not that of the name dialled")
	flags.StringVar(&f.psk, "psk", "", "seal connections with the pre-shared key in this `file`: openssl rand -hex 32 makes one")
}

func (f *secureFlags) options() (opts []peregrine.Option) {
	if f.tls != (peregrine.TLSFiles{}) {
		opts = append(opts, peregrine.WithTLSFiles(f.tls))
	}
	if f.psk != "" {
		opts = append(opts, peregrine.WithPSKFile(f.psk))
	}
	return opts
}

// serves says why the flags make no server: it could show no certificate, or looks as if it
// asked for those of clients.
func (f *secureFlags) serves() error {
	switch {
	case f.tls != (peregrine.TLSFiles{}) && f.tls.Cert == "":
		return errors.New("a server has to show a certificate: give --tls-cert and --tls-key")
	case f.tls.CA != "" && !f.tls.Mutual:
		return errors.New("--tls-ca says whose certificates clients have to show, but none is asked for: give --tls-mutual as well, or leave it out")
	}
	return nil
}

// errPlain is of a server that others reach, and that nobody has said may serve them.
var errPlain = errors.New("others can reach this address, and whoever does may call, read and forge, since connections are plain text: " +
	"give --tls-cert and --tls-key, or --psk, or say --plain if that is meant (in a file tls, psk, or plain: true)")

// mayServe says why an endpoint is not to serve: it is plain text, where others reach it, and
// nobody has asked for that.
func mayServe(e *peregrine.Endpoint, plain bool) error {
	if e.Security() == "" && !plain && !e.Addr().Addr().IsLoopback() {
		return fmt.Errorf("%v: %w", e.Addr(), errPlain)
	}
	return nil
}

// announceSecurity says how connections are sealed, or that they are not.
func announceSecurity(w io.Writer, e *peregrine.Endpoint) {
	fmt.Fprintf(w, "connections: %s\n", cmp.Or(e.Security(), "plain text, open to all who reach the port"))
}
