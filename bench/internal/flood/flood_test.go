package flood

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// counted ends the flood once there was enough.
type counted struct {
	n     int
	ended chan struct{}
}

func (c *counted) Write(b []byte) (int, error) {
	if c.n += len(b); c.n == 10*size {
		close(c.ended)
	}
	return len(b), nil
}

func TestItSendsUntilItIsOver(t *testing.T) {
	t.Parallel()
	c := &counted{ended: make(chan struct{})}
	require.GreaterOrEqual(t, send(c, 1000, c.ended), 10)
	require.Error(t, Send([]string{"--rate", "1", "127.0.0.1:9"}))
	require.Error(t, Send(nil))
}
