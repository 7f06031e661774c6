package dpdk

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/transport"
)

const name = "dpdk"

// Config is the configuration of a device and of the environment (EAL) that
// DPDK's devices share in a process.
type Config struct {
	// Device is a PCI address (0000:00:06.0), the name of a network interface,
	// or a virtual device as EAL's --vdev takes it
	// (net_virtio_user0,path=/run/p.sock,packed_vq=1). Driver arguments follow
	// the first two after a comma as well.
	Device string `yaml:"device" url:"host"`

	// IP is the addresses of the device, each with the length of its network's
	// prefix: 10.0.1.7/24. At least one.
	IP []string `yaml:"ip"`
	// Port is the UDP port, the same for all queues and addresses. 0 takes a
	// free choice of 49152 to 65535 (RFC 6335).
	Port uint16 `yaml:"port"`
	// Gateway is the routers for what is in no network of IP, at most one of
	// each family.
	Gateway []string `yaml:"gateway"`
	// MTU is the longest IP packet in bytes, 1280 to 9702; 0 takes the device's.
	MTU int `yaml:"mtu"`
	// VLAN is the 802.1Q tag of all frames, 1 to 4094; 0 means none.
	VLAN int `yaml:"vlan"`
	// MAC replaces the device's own address. Clouds refuse others.
	MAC string `yaml:"mac"`

	// RxRing and TxRing are wishes for the number of descriptors of each queue,
	// 64 to 16384; the device rounds them.
	RxRing int `yaml:"rx_ring"`
	TxRing int `yaml:"tx_ring"`
	// Buffers is how many packets of each queue, beside those in the rings, may
	// be received and not released, or reserved and not sent, half of them each,
	// 256 to 1048576.
	Buffers int `yaml:"buffers"`
	// RSSKey is the 40 or 52 bytes, in hexadecimal, of the hash that spreads
	// packets over queues. Empty takes one under which both directions of a flow
	// hash alike.
	RSSKey string `yaml:"rss_key"`
	// Isolate leaves the kernel what is not ours of a device that both share:
	// on, off, or auto, which means on where the driver is such (mlx5).
	Isolate string `yaml:"isolate"`
	// Checksum says who computes checksums: auto lets the device where it can,
	// offload insists on it, software does not use it.
	Checksum string `yaml:"checksum"`
	// Interrupts lets Wait sleep until the device has something, where it can
	// tell. Without them Wait polls, with short sleeps.
	Interrupts bool `yaml:"interrupts"`

	// The remaining keys are EAL's. It starts once in a process: whatever is
	// opened later must agree.

	// Lcores is the CPUs for EAL's own threads, as its --lcores takes them. Empty
	// starts none. Polling happens on the threads of the transport's owners.
	Lcores string `yaml:"lcores"`
	// Hugepages is on, off, or auto: virtual devices take them if enough are
	// free, and others insist on them.
	Hugepages string `yaml:"hugepages"`
	// Memory is the MB for all packet buffers and rings, 16 to 1048576.
	Memory int `yaml:"memory"`
	// FilePrefix names EAL's files. Empty takes one of this process's own.
	FilePrefix string `yaml:"file_prefix"`
	// Socket is the NUMA node of the memory; -1 means that of the first device.
	Socket int `yaml:"socket"`
	// LogLevel is how much EAL's log says in errors that quote it: emergency,
	// alert, critical, error, warning, notice, info or debug.
	LogLevel string `yaml:"log_level"`
	// EALArgs are further arguments, passed on as they are.
	EALArgs []string `yaml:"eal_args"`
}

const (
	minMTU = 1280 // RFC 8200 §5
	maxMTU = 9702 // the largest that drivers know
)

var (
	choices   = []string{"auto", "on", "off"}
	checksums = []string{"auto", "offload", "software"}
	logLevels = []string{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}
)

// DefaultConfig lacks only Device and IP.
func DefaultConfig() Config {
	return Config{
		RxRing:     1024,
		TxRing:     1024,
		Buffers:    8192,
		Isolate:    "auto",
		Checksum:   "auto",
		Interrupts: true,
		Hugepages:  "auto",
		Memory:     256,
		Socket:     -1,
		LogLevel:   "warning",
	}
}

// Validate checks each key, without a look at the host. Its errors are
// [*transport.ConfigError].
func (c *Config) Validate() error {
	if _, err := parseDevice(c.Device); err != nil {
		return err
	}
	if _, err := c.rssKey(); err != nil {
		return err
	}
	for _, r := range []struct {
		key             string
		value, min, max int
		or              string
		unset           int // always allowed
	}{
		{"mtu", c.MTU, minMTU, maxMTU, ", or 0 to take the device's", 0},
		{"vlan", c.VLAN, 1, 4094, ", or 0 for frames without a tag", 0},
		{"rx_ring", c.RxRing, 64, 1 << 14, "", 64},
		{"tx_ring", c.TxRing, 64, 1 << 14, "", 64},
		{"buffers", c.Buffers, 256, 1 << 20, "", 256},
		{"memory", c.Memory, 16, 1 << 20, "", 16},
		{"socket", c.Socket, 0, 7, ", or -1 to take the device's", -1},
	} {
		if r.value != r.unset && (r.value < r.min || r.value > r.max) {
			return wrong(r.key, "%d is out of range: give %d to %d%s", r.value, r.min, r.max, r.or)
		}
	}
	for _, o := range []struct {
		key, value string
		among      []string
	}{
		{"isolate", c.Isolate, choices},
		{"checksum", c.Checksum, checksums},
		{"hugepages", c.Hugepages, choices},
		{"log_level", c.LogLevel, logLevels},
	} {
		if !slices.Contains(o.among, o.value) {
			return wrong(o.key, "%q is none of the choices: write one of %v", o.value, o.among)
		}
	}
	_, err := c.station(netstack.MAC{2}, maxMTU)
	return err
}

// station is what the configuration says of addresses, for a device with that
// MAC and MTU.
func (c *Config) station(mac netstack.MAC, mtu int) (netstack.Config, error) {
	station := netstack.Config{MAC: mac, VLAN: uint16(c.VLAN), MTU: mtu}
	if c.MAC != "" {
		own, err := netstack.ParseMAC(c.MAC)
		if err != nil {
			return station, wrong("mac", "%v", err)
		}
		if own[0]&1 != 0 || own == (netstack.MAC{}) {
			return station, wrong("mac", "%v is no station's address: write one whose first byte is even", own)
		}
		station.MAC = own
	}
	if len(c.IP) == 0 {
		return station, wrong("ip", "missing: the kernel gives this device no address, so write one with its network's length, such as 10.0.1.7/24")
	}
	for _, text := range c.IP {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return station, wrong("ip", "%q is no address with its network's length: write such as 10.0.1.7/24 or fd00::7/64", text)
		}
		station.Addrs = append(station.Addrs, p)
	}
	if _, err := netstack.New(station); err != nil {
		return station, wrong("ip", "%v", err)
	}
	for _, text := range c.Gateway {
		g, err := netip.ParseAddr(text)
		if err != nil {
			return station, wrong("gateway", "%q is no address: write such as 10.0.1.1", text)
		}
		station.Gateways = append(station.Gateways, g)
	}
	if _, err := netstack.New(station); err != nil {
		return station, wrong("gateway", "%v", err)
	}
	return station, nil
}

// rssKey is RSSKey, parsed, or the default: 52 bytes, of which devices that want
// 40 take the front.
func (c *Config) rssKey() ([]byte, error) {
	if c.RSSKey == "" {
		// Woo and Park, "Scalable TCP Session Monitoring with Symmetric
		// Receive-side Scaling", 2012.
		return slices.Repeat([]byte{0x6d, 0x5a}, 26), nil
	}
	key, err := hex.DecodeString(c.RSSKey)
	if err != nil || len(key) != 40 && len(key) != 52 {
		return nil, wrong("rss_key", "%q is not 40 or 52 bytes in hexadecimal: write 80 or 104 digits, as the device needs", c.RSSKey)
	}
	return key, nil
}

func wrong(key, format string, args ...any) error {
	return &transport.ConfigError{Driver: name, Key: key, Problem: fmt.Sprintf(format, args...)}
}
