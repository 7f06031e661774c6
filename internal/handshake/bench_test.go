package handshake_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/handshake"
)

// What a handshake costs both sides together, without a network; BenchmarkTCP has crypto/tls's own over
// loopback TCP beside it. Resumed ones take the ticket of the one before.
func BenchmarkQUIC(b *testing.B) {
	for name, tickets := range map[string]bool{"full": false, "resumed": true} {
		b.Run(name, func(b *testing.B) {
			c, s := clientConfig(), serverConfig()
			c.SessionTicketsDisabled, s.SessionTicketsDisabled = !tickets, !tickets
			dialer, listener := newTLS(b, handshake.Config{TLS: c, Run: inline}), newTLS(b, handshake.Config{TLS: s, Run: inline})
			for b.Loop() {
				client, server := begin(b, dialer, true, ""), begin(b, listener, false, "")
				converse(client, server)
				requireDone(b, client, server)
				client.Close()
				server.Close()
			}
		})
	}
}

func BenchmarkTCP(b *testing.B) {
	for name, tickets := range map[string]bool{"full": false, "resumed": true} {
		b.Run(name, func(b *testing.B) {
			c, s := clientConfig(), serverConfig()
			c.SessionTicketsDisabled, s.SessionTicketsDisabled = !tickets, !tickets
			c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			listener, err := tls.Listen("tcp", "127.0.0.1:0", s)
			require.NoError(b, err)
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte{1}) // with the ticket before it
					conn.Close()
				}
			}()
			for b.Loop() {
				raw, err := net.Dial("tcp", listener.Addr().String())
				require.NoError(b, err)
				conn := tls.Client(raw, c)
				_, err = conn.Read(make([]byte, 1))
				require.NoError(b, err)
				conn.Close()
			}
		})
	}
}
