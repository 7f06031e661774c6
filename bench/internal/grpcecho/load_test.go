package grpcecho

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryKindOfCallIsCheckedAndCounted(t *testing.T) {
	t.Parallel()
	authority := testcert.New("authority")
	identity := authority.Issue("localhost")
	for name, secrecy := range map[string][2]credentials.TransportCredentials{
		"plain": {insecure.NewCredentials(), insecure.NewCredentials()},
		"TLS":   {credentials.NewServerTLSFromCert(&identity), credentials.NewClientTLSFromCert(authority.Pool(), "")},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(secrecy[0])
			defer server.Stop()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			go func() { _ = server.Serve(listener) }()
			conn, err := dial(listener.Addr().String(), secrecy[1])
			require.NoError(t, err)
			defer conn.Close()

			for mode, size := range map[string]int{"rate": 32, "latency": 32, "upload": 100_000, "download": 100_000} {
				r, err := result{}, errNone
				// A busy machine may take its time.
				for d := 50 * time.Millisecond; errors.Is(err, errNone); d *= 2 {
					r, err = load{mode: mode, size: size, window: 2, duration: d}.run(t.Context(), conn)
				}
				require.NoError(t, err, mode)
				require.Positive(t, r.Rate, mode)
				require.Positive(t, r.P50, mode)
				require.Positive(t, r.ServerAllocs, mode)
			}
			_, err = load{mode: "ping", window: 1}.run(t.Context(), conn)
			require.ErrorContains(t, err, "--mode")
		})
	}
}

func TestAWrongReplyIsNoticed(t *testing.T) {
	t.Parallel()
	buf := make([]byte, 32)
	echoes, uploaded, downloaded := echo{32}, uploads{9000}, downloads{9000}
	require.False(t, echoes.right(echoes.request(buf, 1), make([]byte, 31), 1))
	require.False(t, uploaded.right(uploaded.request(buf, 1), make([]byte, 16), 1))
	require.True(t, downloaded.right(nil, pattern(1, 9000), 1))
	require.False(t, downloaded.right(nil, pattern(2, 9000), 1))
	require.False(t, downloaded.right(nil, pattern(1, 8999), 1))
}
