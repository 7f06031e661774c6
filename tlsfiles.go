package peregrine

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLSFiles makes a [tls.Config] of PEM files, for configuration files and URLs:
//
//	tls: {cert: server.pem, key: server.key, ca: clients.pem, mutual: true}
//	udp://0.0.0.0:31850?tls_cert=server.pem&tls_key=server.key
//
// A client has {ca: servers.pem}, or {ca: system} for the authorities that the host
// trusts, and a certificate if its servers ask for one.
type TLSFiles struct {
	// Cert is this side's certificate, followed by what leads to its authority, and Key
	// its private key. When the files change, handshakes from then on have the new ones, once
	// both fit each other.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// CA is the authorities whose certificates are good for the other side; "system", and a
	// client's default: those of the host. A server that has it, and is not Mutual, asks
	// clients for a certificate, lets in who shows none, and refuses who shows another.
	CA string `yaml:"ca"`
	// Mutual has clients show a certificate, too.
	Mutual bool `yaml:"mutual"`
	// Name is whose certificate a server has to have, if not that of the name dialled.
	Name string `yaml:"name"`
	// KeyLog is a file to which the secrets of all connections are appended, in the format of
	// SSLKEYLOGFILE, for tools that decipher recordings: who has it reads everything.
	KeyLog string `yaml:"key_log"`
}

// system stands for the authorities of the host.
const system = "system"

// check says which files are missing.
func (f *TLSFiles) check() error {
	var errs []error
	switch {
	case f.Cert != "" && f.Key == "":
		errs = append(errs, &ConfigError{Key: "tls.key", Problem: "missing: the certificate needs its private key"})
	case f.Cert == "" && f.Key != "":
		errs = append(errs, &ConfigError{Key: "tls.cert", Problem: "missing: the private key needs its certificate"})
	}
	if f.Mutual && (f.CA == "" || f.Cert == "") {
		errs = append(errs, &ConfigError{Key: "tls.mutual", Problem: "it needs ca, whose certificates are good for clients, and the server's own cert and key"})
	}
	return errors.Join(errs...)
}

// Config reads the files: what [WithTLSFiles] seals by, for others that seal by them too. Errors are [*ConfigError], or
// several joined.
func (f *TLSFiles) Config() (*tls.Config, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: f.Name}
	if f.Cert != "" {
		p := &pair{cert: f.Cert, key: f.Key}
		if _, err := p.current(); err != nil {
			return nil, err
		}
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current() }
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.current() }
	}
	if f.CA != "" && f.CA != system {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, &ConfigError{Key: "tls.ca", Problem: err.Error()}
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, &ConfigError{Key: "tls.ca", Problem: f.CA + " has no certificate in PEM form"}
		}
		config.RootCAs, config.ClientCAs = pool, pool
	}
	if f.KeyLog != "" {
		if _, err := keyLog(f.KeyLog).Write(nil); err != nil {
			return nil, &ConfigError{Key: "tls.key_log", Problem: err.Error()}
		}
		config.KeyLogWriter = keyLog(f.KeyLog)
	}
	switch {
	case f.Mutual:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	case f.CA != "":
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config, nil
}

// keyLog is the path of a file that each line is appended to.
type keyLog string

func (path keyLog) Write(line []byte) (n int, err error) {
	file, err := os.OpenFile(string(path), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err = file.Write(line)
	return n, errors.Join(err, file.Close())
}

// pair is a certificate and its key in files that may change.
type pair struct {
	cert, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	of     [2]time.Time // when the files were changed last
}

// current is what the files hold, or if that is of no use what they held before.
func (p *pair) current() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of, err := p.changed()
	if err == nil && (p.loaded == nil || of != p.of) {
		var loaded tls.Certificate
		if loaded, err = tls.LoadX509KeyPair(p.cert, p.key); err == nil {
			p.loaded, p.of = &loaded, of
		}
	}
	if p.loaded == nil {
		return nil, &ConfigError{Key: "tls.cert", Problem: err.Error()}
	}
	return p.loaded, nil
}

func (p *pair) changed() (of [2]time.Time, err error) {
	for i, path := range []string{p.cert, p.key} {
		info, statErr := os.Stat(path)
		if statErr != nil {
			err = cmp.Or(err, fmt.Errorf("%w", statErr))
			continue
		}
		of[i] = info.ModTime()
	}
	return of, err
}
