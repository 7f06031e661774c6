package handshake_test

import (
	"testing"

	"github.com/peregrine-rpc/peregrine/internal/handshake"
)

// What a handshake costs both sides together, without a network; BenchmarkConnect and
// BenchmarkTCP have one. Resumed ones take the ticket of the one before.
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
