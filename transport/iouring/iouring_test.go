//go:build linux

package iouring

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

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
	if err := o.do(func() error { return transport.BindThread(tr) }); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
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
