package main

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// FuzzByteSize reads sizes. A size is not negative, is the same when written out
// and read again, and is 1024 times as much with a K behind; what is no size
// changes nothing.
func FuzzByteSize(f *testing.F) {
	for _, text := range []string{"32", "64KiB", "8 MiB", "1g", "0b", "9223372036854775807", "8796093022208m", "-1", "1.5k", "kib", "+7", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := byteSize(-7)
		if err := b.Set(text); err != nil {
			require.Equal(t, byteSize(-7), b)
			return
		}
		require.GreaterOrEqual(t, b, byteSize(0))
		var again byteSize
		require.NoError(t, again.Set(b.String()))
		require.Equal(t, b, again)
		if again.Set(b.String()+"KiB") == nil {
			require.Equal(t, b, again/1024)
		}
	})
}

// FuzzTarget reads addresses of servers, as far as that needs no name service.
// What is one can be dialed, from a URL that is valid.
func FuzzTarget(f *testing.F) {
	for _, text := range []string{
		"127.0.0.1:31850", "[::1]:1", "[::ffff:10.0.0.1]:2", "10.0.0.1:0", "[fe80::1%lo]:9",
		"[::]:7", ":7", "1:", "[::1", "10.0.0.1:65536",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, port, err := net.SplitHostPort(text)
		if err == nil {
			_, err = netip.ParseAddr(host)
		}
		if numeric, _ := netip.ParseAddrPort("[::]:" + port); err != nil || numeric.Port() == 0 {
			return
		}
		to, err := resolveTarget(t.Context(), text)
		require.NoError(t, err)
		require.Equal(t, to.addr(), netip.MustParseAddrPort(to.addr().String()))
		_, _, err = transport.ParseURL(to.clientURL())
		require.NoError(t, err)
	})
}
