package handshake

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"io"
)

// What a tls.Config has of its user's runs on a goroutine of crypto/tls's, where nobody else
// could recover. Where it panics its handshake fails, or does without.

func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("a callback of the tls.Config panicked: %v", p)
	}
}

// guarded makes a callback fail its handshake where it panics.
func guarded[A, R any](f func(A) (R, error)) func(A) (R, error) {
	if f == nil {
		return nil
	}
	return func(a A) (r R, err error) {
		defer contain(&err)
		return f(a)
	}
}

// holding has a callback's certificate be held.
func holding[A any](get func(A) (*tls.Certificate, error)) func(A) (*tls.Certificate, error) {
	if get == nil {
		return nil
	}
	return func(a A) (*tls.Certificate, error) {
		c, err := get(a)
		return held(c), err
	}
}

// held is a certificate whose key may panic: it is a device's, or somebody's who is asked by
// network.
func held(c *tls.Certificate) *tls.Certificate {
	if c == nil {
		return nil
	}
	copied := *c
	switch key := c.PrivateKey.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		return c
	case crypto.MessageSigner:
		copied.PrivateKey = messageSigner{signer{key}, key}
	case crypto.Signer:
		copied.PrivateKey = signer{key}
	}
	return &copied
}

type signer struct{ key crypto.Signer }

// Public is nil where the key's panics, which crypto/tls refuses.
func (s signer) Public() (public crypto.PublicKey) {
	var err error
	defer contain(&err)
	return s.key.Public()
}

func (s signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	defer contain(&err)
	return s.key.Sign(random, digest, opts)
}

type messageSigner struct {
	signer
	key crypto.MessageSigner
}

func (s messageSigner) SignMessage(random io.Reader, message []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	defer contain(&err)
	return s.key.SignMessage(random, message, opts)
}

// cache has nothing, and keeps nothing, where it panics: sessions are not resumed.
type cache struct{ of tls.ClientSessionCache }

func (c cache) Get(key string) (session *tls.ClientSessionState, ok bool) {
	var err error
	defer contain(&err)
	return c.of.Get(key)
}

func (c cache) Put(key string, session *tls.ClientSessionState) {
	var err error
	defer contain(&err)
	c.of.Put(key, session)
}

// keyLog is where secrets are written, for tools that decipher recordings.
type keyLog struct{ to io.Writer }

func (l keyLog) Write(line []byte) (n int, err error) {
	defer contain(&err)
	return l.to.Write(line)
}
