package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func TestOurServerConformsOverIOUring(t *testing.T) {
	t.Parallel()
	tr, err := transport.Open("iouring://127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, tr.Close())
	s := serveWith(t, "serve", "iouring://127.0.0.1:0", "--until-eof", "--patience", "1m")
	conforms(t, s.addr)
	s.end(t)
}
