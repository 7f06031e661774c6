package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

// conforms has the server at an address checked.
func conforms(t *testing.T, addr string, args ...string) {
	t.Helper()
	stdout, stderr, err := output(t, append([]string{"conform", addr, "--patience", "1m"}, args...)...)
	require.NoError(t, err, "%s%s", stdout, stderr)
	require.Contains(t, stdout, "conversations as the document says")
}

func TestOurServerConforms(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--loops", "3"}, {"--no-coalesce"}, {"--no-offload", "--poll", "block"}} {
		s := serve(t, args...)
		conforms(t, s.addr)
		require.Contains(t, s.end(t), "rejected: ")
	}
}

func TestWhoIsNoServerDoesNotConform(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer conn.Close()
	go func() { // sends back what it is sent
		buf := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	path := filepath.Join(t.TempDir(), "results.json")
	stdout, stderr, err := output(t, "conform", conn.LocalAddr().String(), "--json", path)
	require.Error(t, err)
	require.Contains(t, stdout, "sends a hello, which is the other side's (§2.2)")
	require.Contains(t, stderr, "conversations went otherwise")
	require.FileExists(t, path)
}

func TestOurClientConforms(t *testing.T) {
	t.Parallel()
	clientConforms(t, "udp://127.0.0.1:0", "127.0.0.1:0", here, here)
}

func TestOurSealedEndpointsConform(t *testing.T) {
	t.Parallel()
	write, authority := writer(t), testcert.New("authority")
	cert, key := testcert.PEM(authority.Issue("localhost"))
	shown := []string{"--tls-cert", write("cert.pem", cert), "--tls-key", write("key.pem", key)}
	ca := write("ca.pem", authority.PEM())
	psk := write("psk", []byte(strings.Repeat("0f", 32)))
	for name, kind := range map[string]struct {
		serving, dialing []string
		option           peregrine.Option
	}{
		"key": {[]string{"--psk", psk}, []string{"--psk", psk}, peregrine.WithPSKFile(psk)},
		"certificate": {
			shown, []string{"--tls-ca", ca, "--tls-name", "localhost"}, peregrine.WithTLSFiles(peregrine.TLSFiles{CA: ca, Name: "localhost"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveWith(t, append([]string{"serve", "udp://127.0.0.1:0", "--until-eof", "--patience", "1m"}, kind.serving...)...)
			conforms(t, s.addr, kind.dialing...)
			s.end(t)
			clientConforms(t, "udp://127.0.0.1:0", "127.0.0.1:0", here, here, sealing{kind.serving, kind.option})
		})
	}
}

// sealing says how a client that is checked, and who checks it, seal their connections.
type sealing struct {
	serving []string
	option  peregrine.Option
}

// here does something where the test is.
func here(f func() error) error { return f() }

// clientConforms has a client over a transport checked by a server at an address, each where it is told.
func clientConforms(t *testing.T, url, at string, client, server func(func() error) error, sealed ...sealing) {
	t.Helper()
	args := []string{"conform", "--serve", at, "--patience", "1m"}
	options := []peregrine.Option{peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})}
	for _, s := range sealed {
		args, options = append(args, s.serving...), append(options, s.option)
	}
	cmd := program(t, args...)
	var said strings.Builder
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server(cmd.Start))
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	addr, _, _ := strings.Cut(strings.TrimPrefix(first, listening), " ")
	ended := make(chan error, 1)
	checking, over := context.WithCancel(t.Context())
	go func() {
		defer over()
		_, err := io.Copy(&said, lines)
		ended <- errors.Join(err, cmd.Wait())
	}()

	var e *peregrine.Endpoint
	require.NoError(t, client(func() (err error) {
		e, err = peregrine.Listen(url, options...)
		return err
	}))
	defer e.Close()
	session, err := e.Dial(checking, addr)
	require.NoError(t, err)
	for i := 0; checking.Err() == nil; i++ {
		request := make([]byte, []int{10, 3000}[i%2])
		if answer, err := session.Call(checking, 1, request, nil); err == nil {
			require.Equal(t, request, answer)
		}
		time.Sleep(time.Millisecond)
	}
	require.NoError(t, <-ended, said.String())
	require.Contains(t, said.String(), "conversations as the document says")
}
