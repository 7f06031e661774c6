package core

import (
	"crypto/tls"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

// perSealed is the bound on the heap of a server's idle connection that is sealed, with its
// one session.
const perSealed = 8 << 10

func TestIdleSealedConnectionsAreSmall(t *testing.T) {
	authority := testcert.New("authority")
	certified := func(auth tls.ClientAuthType) packet.Security {
		security, err := handshake.New(handshake.Config{Run: func(work func()) { work() }, TLS: &tls.Config{
			Certificates: []tls.Certificate{authority.Issue("node")}, RootCAs: authority.Pool(), ClientCAs: authority.Pool(),
			ServerName: "node", ClientAuth: auth, SessionTicketsDisabled: auth != tls.NoClientCert, // else all have the first one's
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				another := authority.Issue("client")
				return &another, nil
			},
		}})
		require.NoError(t, err)
		return security
	}
	plain := func() packet.Security { return nil }
	unasked := func() packet.Security { return certified(tls.NoClientCert) }
	mutual := func() packet.Security { return certified(tls.RequireAndVerifyClientCert) }
	for _, kind := range []struct {
		name     string
		security func() packet.Security
	}{
		{"plain", plain},
		{"pre-shared key", keyOfOne},
		{"TLS", unasked},
		{"TLS, each client with another certificate", mutual}, // 7,990, of which that is 2.8 K
	} {
		count := 300
		if testing.Short() {
			count = 100
		}
		n := newNetwork(t, 1)
		server := n.add(Config{Security: kind.security(), KeepAlive: time.Hour})
		server.Handle(echo, func(r *Request) { r.Reply(r.Data) })
		client := n.add(Config{Security: kind.security(), KeepAlive: time.Hour})
		visit := func() { // and go, without a word that arrives
			s := n.connect(client, server)
			n.echoes(s, 100)
			n.run(10 * time.Second)
			n.partition()
			s.Close()
			n.run(time.Millisecond)
			n.heal()
		}
		for range 20 { // what maps and rings take at first
			visit()
		}
		before := inUse()
		for range count {
			visit()
		}
		require.Equal(t, count+20, server.Stats().Peers)
		each := (inUse() - before) / count
		t.Logf("%s: %d bytes", kind.name, each)
		require.LessOrEqual(t, each, perSealed, kind.name)
		runtime.KeepAlive(n)
	}
}

func keyOfOne() packet.Security {
	security, err := psk.New([][psk.KeySize]byte{{1}}, nil)
	if err != nil {
		panic(err)
	}
	return security
}
