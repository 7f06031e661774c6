package udp

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func TestAWrongConfigurationNamesTheKeyAndTheRemedy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, remedy string
		spoil       func(*Config)
	}{
		{"address", "write 0.0.0.0:31850", func(c *Config) { c.Address = "" }},
		{"address", "write 0.0.0.0:31850", func(c *Config) { c.Address = "127.0.0.1" }},
		{"address", "from 0 to 65535", func(c *Config) { c.Address = "127.0.0.1:65536" }},
		{"address", "from 0 to 65535", func(c *Config) { c.Address = "127.0.0.1:http" }},
		{"address", "give an address of this host", func(c *Config) { c.Address = "300.0.0.1:1" }},
		{"recv_buffer", "give 65536", func(c *Config) { c.RecvBuffer = -1 }},
		{"recv_buffer", "to 1073741824", func(c *Config) { c.RecvBuffer = 1<<30 + 1 }},
		{"send_buffer", "give 65536", func(c *Config) { c.SendBuffer = 0 }},
		{"mtu", "or 0 to take", func(c *Config) { c.MTU = 1279 }},
		{"mtu", "or 0 to take", func(c *Config) { c.MTU = 65537 }},
	} {
		cfg := DefaultConfig()
		c.spoil(&cfg)
		_, err := Open(cfg, 0, 1)
		var wrong *transport.ConfigError
		require.True(t, errors.As(err, &wrong), "%v", err)
		require.Equal(t, c.key, wrong.Key)
		require.ErrorContains(t, err, c.remedy)
	}
}

func TestAQueueThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	for _, q := range [][2]int{{-1, 1}, {1, 1}, {0, 0}} {
		_, err := Open(DefaultConfig(), q[0], q[1])
		require.ErrorContains(t, err, "there is no queue")
	}
	_, err := Open(DefaultConfig(), 1, 2)
	require.ErrorContains(t, err, "give the port that queue 0 got")
}

func TestAnAddressOfAnotherHostIsAnError(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		c := DefaultConfig()
		c.Address = "192.0.2.1:0" // documentation only, RFC 5737
		_, err := v.open(c)
		require.ErrorContains(t, err, "this host")
	})
}

func TestTheDriverOpensFromAURL(t *testing.T) {
	t.Parallel()
	tr, err := transport.Open("udp://127.0.0.1:0?segment=false&gro=false&mtu=9000&recv_buffer=100000&ecn=false")
	require.NoError(t, err)
	defer tr.Close()
	caps := tr.Caps()
	require.Equal(t, "udp", caps.Backend)
	require.False(t, caps.SegmentTx)
	require.False(t, caps.SegmentRx)
	require.False(t, caps.ECN)
	require.True(t, caps.Integrity)
	require.Equal(t, 8972, caps.MaxPayload)
	require.Equal(t, 1, caps.Queues)
	require.NotZero(t, tr.LocalAddr().Port())

	_, err = transport.Open("udp://127.0.0.1:0?mtu=9")
	require.ErrorContains(t, err, `key "mtu"`)
	_, err = driver{}.Open(1, 0, 1)
	require.ErrorContains(t, err, "fill in what this driver's Config returns")
}

func TestWhereASystemCannotShareAPortAskingIsAnError(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Address, c.Share = "127.0.0.1:0", true
	_, err := openPortable(c, 0, 1)
	require.ErrorContains(t, err, `key "share"`)
}
