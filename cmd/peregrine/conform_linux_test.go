package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func TestOurEndpointsConformOverIOUring(t *testing.T) {
	t.Parallel()
	tr, err := transport.Open("iouring://127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, tr.Close())
	s := serveWith(t, "serve", "iouring://127.0.0.1:0", "--until-eof", "--patience", "1m")
	conforms(t, s.addr)
	s.end(t)
	clientConforms(t, "iouring://127.0.0.1:0", "127.0.0.1:0", here, here)
}

// The checker is in a namespace of its own, on the kernel's sockets.
func TestOurEndpointsConformOverAFXDP(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, 1500, 1500)
			server := serveIn(t, s.middle, "serve", "xdp://inside?port=7000&mode="+mode, "--plain", "--until-eof", "--patience", "1m")
			var out bytes.Buffer
			checker := program(t, "conform", server.addr, "--patience", "1m")
			checker.Stdout, checker.Stderr = &out, &out
			require.NoError(t, s.client.Do(checker.Start))
			require.NoError(t, checker.Wait(), out.String())
			require.Contains(t, out.String(), "conversations as the document says")
			server.end(t)
			clientConforms(t, "xdp://inside?mode="+mode, "10.8.0.1:7001", s.middle.Do, s.client.Do)
			s.untouched(t)
		})
	}
}
