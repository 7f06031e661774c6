package dpdk

import (
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
		{"device", "write a PCI address", func(c *Config) { c.Device = "" }},
		{"device", "write a PCI address", func(c *Config) { c.Device = "127.0.0.1:0" }},
		{"device", "write a PCI address", func(c *Config) { c.Device = "net_vhost0 iface=/tmp/x" }},
		{"ip", "such as 10.0.1.7/24", func(c *Config) { c.IP = nil }},
		{"ip", "such as 10.0.1.7/24", func(c *Config) { c.IP = []string{"10.0.1.7"} }},
		{"ip", "give a host's", func(c *Config) { c.IP = []string{"10.0.1.255/24"} }},
		{"ip", "keep one", func(c *Config) { c.IP = []string{"10.0.1.7/24", "10.0.1.7/16"} }},
		{"gateway", "such as 10.0.1.1", func(c *Config) { c.Gateway = []string{"router"} }},
		{"gateway", "not on the link", func(c *Config) { c.Gateway = []string{"10.0.2.1"} }},
		{"gateway", "keep one", func(c *Config) { c.Gateway = []string{"10.0.1.1", "10.0.1.2"} }},
		{"mtu", "or 0 to take", func(c *Config) { c.MTU = 1279 }},
		{"mtu", "or 0 to take", func(c *Config) { c.MTU = 9703 }},
		{"vlan", "or 0 for frames", func(c *Config) { c.VLAN = 4095 }},
		{"mac", "write six bytes", func(c *Config) { c.MAC = "02:00" }},
		{"mac", "first byte is even", func(c *Config) { c.MAC = "03:00:00:00:00:01" }},
		{"mac", "first byte is even", func(c *Config) { c.MAC = "00:00:00:00:00:00" }},
		{"rx_ring", "give 64 to 16384", func(c *Config) { c.RxRing = 0 }},
		{"tx_ring", "give 64 to 16384", func(c *Config) { c.TxRing = 1 << 15 }},
		{"buffers", "give 256", func(c *Config) { c.Buffers = 0 }},
		{"rss_key", "write 80 or 104 digits", func(c *Config) { c.RSSKey = "6d5a" }},
		{"isolate", "write one of [auto on off]", func(c *Config) { c.Isolate = "true" }},
		{"checksum", "write one of", func(c *Config) { c.Checksum = "" }},
		{"hugepages", "write one of", func(c *Config) { c.Hugepages = "2M" }},
		{"memory", "give 16", func(c *Config) { c.Memory = 0 }},
		{"socket", "or -1", func(c *Config) { c.Socket = -2 }},
		{"log_level", "write one of", func(c *Config) { c.LogLevel = "loud" }},
	} {
		cfg := DefaultConfig()
		cfg.Device, cfg.IP = "net_vhost0,iface=/run/p.sock", []string{"10.0.1.7/24"}
		require.NoError(t, cfg.Validate())
		c.spoil(&cfg)
		_, err := Open(cfg, 0, 1)
		var wrong *transport.ConfigError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, c.key, wrong.Key, "%v", err)
		require.ErrorContains(t, err, c.remedy)
	}
}

func TestAQueueThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Device, cfg.IP = "net_null0", []string{"10.0.1.7/24"}
	for _, q := range [][2]int{{-1, 1}, {1, 1}, {0, 0}} {
		_, err := Open(cfg, q[0], q[1])
		require.ErrorContains(t, err, "there is no queue")
	}
	_, err := driver{}.Open(1, 0, 1)
	require.ErrorContains(t, err, "fill in what this driver's Config returns")
}

func TestAURLTakesADeviceWithItsArguments(t *testing.T) {
	t.Parallel()
	_, cfg, err := transport.ParseURL("dpdk://net_virtio_user0,path=/run/p.sock,packed_vq=1?ip=10.0.1.7/24,fd00::7/64&port=31850&hugepages=off")
	require.NoError(t, err)
	want := DefaultConfig()
	want.Device, want.Port, want.Hugepages = "net_virtio_user0,path=/run/p.sock,packed_vq=1", 31850, "off"
	want.IP = []string{"10.0.1.7/24", "fd00::7/64"}
	require.Equal(t, &want, cfg)
}

func TestADeviceIsNamedInThreeWays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]device{
		"0000:00:06.0":              {pciDevice, "0000:00:06.0", ""},
		"3B:00.1,mprq_en=1":         {pciDevice, "0000:3b:00.1", "mprq_en=1"},
		"net_memif0,role=server":    {virtualDevice, "net_memif0", "role=server"},
		"ens6":                      {netInterface, "ens6", ""},
		"net_af_packet1,iface=eth0": {virtualDevice, "net_af_packet1", "iface=eth0"},
	} {
		d, err := parseDevice(text)
		require.NoError(t, err)
		require.Equal(t, want, d)
	}
	d, err := parseDevice("net_vhost0,iface=/a=b,queues=2")
	require.NoError(t, err)
	require.Equal(t, "/a=b", d.arg("iface"))
	require.Equal(t, "2", d.arg("queues"))
	require.Empty(t, d.arg("client"))
	require.Equal(t, "net_vhost0,iface=/a=b,queues=2", d.devargs())
}
