package quicecho

import (
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

func TestEveryLoadRuns(t *testing.T) {
	t.Parallel()
	authority := testcert.New("authority")
	listener, err := listen(&tls.Config{Certificates: []tls.Certificate{authority.Issue("localhost")}})
	require.NoError(t, err)
	served := make(chan error)
	go func() { served <- serve(listener) }()
	conn, err := dial(t.Context(), listener.Addr().String(), authority.Pool())
	require.NoError(t, err)
	for mode, size := range map[string]int{"rate": 32, "latency": 32, "upload": 1 << 20} {
		// A busy machine may take its time.
		r, err := side.Measured{}, side.ErrNone
		for d := 50 * time.Millisecond; errors.Is(err, side.ErrNone); d *= 2 {
			r, err = load{mode: mode, size: size, window: 2, duration: d}.run(t.Context(), conn)
		}
		require.NoError(t, err, mode)
		require.Positive(t, r.Rate, mode)
	}
	require.NoError(t, conn.CloseWithError(0, ""))
	require.NoError(t, listener.Close())
	require.NoError(t, <-served)
}

func TestAWrongReplyIsNoticed(t *testing.T) {
	t.Parallel()
	require.False(t, right(echo, make([]byte, 32), make([]byte, 31)))
	require.False(t, right(upload, make([]byte, 32), make([]byte, uploadSize)))
}
