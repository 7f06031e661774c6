package iouring

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Whatever a race over the loopback decides, auto opens.
func TestAutoOpensAndSaysWhatItTook(t *testing.T) {
	t.Parallel()
	tr, err := transport.Open("auto://127.0.0.1:0?zero_copy=9000")
	require.NoError(t, err)
	defer tr.Close()
	backend, notes := tr.Caps().Backend, strings.Join(tr.Caps().Notes, "\n")
	require.Contains(t, []string{"iouring", "udp"}, backend)
	t.Log(backend, notes)
	if backend == "udp" {
		require.Contains(t, notes, "auto did not take iouring: ")
		require.Contains(t, notes, `does not have the key "zero_copy"`)
	}
}
