//go:build linux

package iouring

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// variant is one way to open a transport that every story holds for.
type variant struct {
	name string
	open func(Config) (transport.Transport, error)
}

var variants = []variant{
	{"any thread", func(c Config) (transport.Transport, error) { return Open(c, 0, 1) }},
	{"one thread", bound},
	{"one thread without offload", func(c Config) (transport.Transport, error) {
		c.Segment, c.GRO = false, false
		return bound(c)
	}},
	{"zero-copy", func(c Config) (transport.Transport, error) {
		c.ZeroCopy = 1
		return bound(c)
	}},
	{"one thread, not sent to", func(c Config) (transport.Transport, error) {
		// Linux before 6.13.
		tr, err := bound(c)
		if err == nil {
			q := inside(tr)
			q.messages = false
			q.sleeps()
		}
		return tr, err
	}},
	{"poller", func(c Config) (transport.Transport, error) {
		c.SQPoll = true
		return Open(c, 0, 1)
	}},
}

// bound opens a transport that is bound to a thread, which makes all calls.
func bound(c Config) (transport.Transport, error) {
	tr, err := Open(c, 0, 1)
	if err != nil {
		return nil, err
	}
	o := newOwner(tr)
	if err := o.do(func() error { _, err := transport.BindThread(tr); return err }); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// inside is the queue behind a transport of a variant.
func inside(tr transport.Transport) *queue {
	if o, ok := tr.(*owner); ok {
		return inside(o.Transport)
	}
	return tr.(*queue)
}

// each tells a story of every variant.
func each(t *testing.T, story func(t *testing.T, v variant)) {
	t.Parallel()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			story(t, v)
		})
	}
}

// at opens a transport at an address for the length of the test.
func (v variant) at(t testing.TB, address string, change ...func(*Config)) transport.Transport {
	t.Helper()
	c := DefaultConfig()
	c.Address = address
	for _, f := range change {
		f(&c)
	}
	tr, err := v.open(c)
	if errors.Is(err, transport.ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	return tr
}

// completed waits until all packets that were taken have completed.
func completed(t testing.TB, tr transport.Transport, n uint64) {
	t.Helper()
	for end := time.Now().Add(transporttest.Patience); tr.Completed() < n; {
		require.True(t, time.Now().Before(end), "%d of %d have completed", tr.Completed(), n)
		require.NoError(t, tr.Wait(10*time.Millisecond))
	}
}
