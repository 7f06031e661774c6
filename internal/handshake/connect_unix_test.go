//go:build unix

package handshake_test

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// timed runs a benchmark of whole connections, and reports the processor's time that each takes both sides, whichever cores
// they are on.
func timed(b *testing.B, connect func()) {
	connect()
	used := func() int64 {
		var r syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
		return r.Utime.Nano() + r.Stime.Nano()
	}
	before := used()
	for b.Loop() {
		connect()
	}
	b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkConnect is connections over loopback, each with a handshake and a call. Loops block, as those of package net do.
func BenchmarkConnect(b *testing.B) {
	for name, tickets := range map[string]bool{"full": false, "resumed": true} {
		b.Run(name, func(b *testing.B) {
			c, s := clientConfig(), serverConfig()
			c.SessionTicketsDisabled, s.SessionTicketsDisabled = !tickets, !tickets
			var made, resumed atomic.Int64
			s.VerifyConnection = func(state tls.ConnectionState) error {
				made.Add(1)
				if state.DidResume {
					resumed.Add(1)
				}
				return nil
			}
			blocking := peregrine.WithPoll(peregrine.Block)
			echo := peregrine.WithHandler(1, func(r peregrine.Request) { r.Reply(r.Data()) })
			server, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLS(s), echo, blocking)
			require.NoError(b, err)
			defer server.Close()
			clients, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLS(c), blocking)
			require.NoError(b, err)
			defer clients.Close()
			connections, text := int64(0), make([]byte, 1)
			timed(b, func() {
				session, err := clients.Dial(b.Context(), server.Addr().String())
				require.NoError(b, err)
				_, err = session.Call(b.Context(), 1, text, text)
				require.NoError(b, err)
				require.NoError(b, session.Close())
				connections++
			})
			require.Equal(b, connections, made.Load(), "each has a handshake")
			b.ReportMetric(float64(resumed.Load())/float64(connections), "resumed/op")
		})
	}
}

// BenchmarkTCP is crypto/tls's own connections over TCP, each with a handshake and a byte back, with the ticket before it.
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
					_, _ = conn.Write([]byte{1})
					conn.Close()
				}
			}()
			timed(b, func() {
				raw, err := net.Dial("tcp", listener.Addr().String())
				require.NoError(b, err)
				conn := tls.Client(raw, c)
				_, err = conn.Read(make([]byte, 1))
				require.NoError(b, err)
				conn.Close()
			})
		})
	}
}
