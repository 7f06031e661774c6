package handshake_test

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/peregrine-rpc/peregrine/internal/handshake"
)

func TestAVerifiedCertificateIsOneClient(t *testing.T) {
	t.Parallel()
	alice, bob := authority.Issue("client"), authority.Issue("client")
	s := serverConfig()
	s.ClientAuth = tls.RequestClientCert // and does not look at it
	asked := newTLS(t, handshake.Config{TLS: s, Run: inline})
	s = serverConfig()
	s.ClientAuth = tls.VerifyClientCertIfGiven
	verified := newTLS(t, handshake.Config{TLS: s, Run: inline})
	account := func(listener *handshake.TLS, certificates ...tls.Certificate) string {
		c := clientConfig()
		c.Certificates = certificates
		client, server := begin(t, newTLS(t, handshake.Config{TLS: c, Run: inline}), true, ""), begin(t, listener, false, "")
		converse(client, server)
		requireDone(t, client, server)
		return listener.Account(server.Peer())
	}
	assert.Equal(t, account(verified, alice), account(verified, alice))
	assert.NotEqual(t, account(verified, alice), account(verified, bob), "the name alone is not who it is")
	assert.Empty(t, account(verified))
	assert.Empty(t, account(asked, alice), "anybody can make such certificates, as many as he likes")
	assert.Empty(t, verified.Account(nil))
}
