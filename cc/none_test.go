package cc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

func TestNoneKeepsItsWindowWhateverHappens(t *testing.T) {
	t.Parallel()
	c := cc.None(100_000)(cc.Path{Datagram: 1200})
	c.Sent(0, 5000, 5000)
	c.Lost(cc.Loss{Now: time.Millisecond, Bytes: 5000})
	c.Spurious(time.Millisecond, 5000)
	c.TimedOut(2 * time.Millisecond)
	c.Acked(cc.Ack{Now: 3 * time.Millisecond, CE: 4})
	require.Equal(t, 100_000, c.Window())
}

func TestAWindowHoldsAtLeastADatagram(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1200, cc.None(1)(cc.Path{Datagram: 1200}).Window())
}
