// Package testprogram runs programs within their tests.
package testprogram

import (
	"bufio"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// Start runs a program, which run is, until the test ends, and then requires that it ends
// without an error. It returns the first line that the program has printed.
func Start(t *testing.T, run func(ctx context.Context, args []string, out io.Writer) error, args ...string) (line string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, args, write)
		write.CloseWithError(err)
		ended <- err
	}()
	line, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	go io.Copy(io.Discard, read)
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return line
}
