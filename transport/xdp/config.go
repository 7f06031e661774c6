package xdp

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/peregrine-rpc/peregrine/transport"
)

const name = "xdp"

// Config is the configuration of a network interface that the kernel keeps, and
// of which we take datagrams.
type Config struct {
	// Interface is the name of an Ethernet interface, or of a VLAN on one
	// (eth1.100), with the addresses that the kernel gave it.
	Interface string `yaml:"interface" url:"host"`

	// IP is those addresses of the interface that datagrams are taken for. Empty
	// means all of them but link-local ones, also such as it gets later.
	IP []string `yaml:"ip"`
	// Port is the UDP port, the same for all queues and addresses. 0 takes a free
	// one. It is taken from the kernel's sockets too.
	Port uint16 `yaml:"port"`

	// Queue is the first of the interface's receive queues that are used, counted
	// from 0. All that it has must be, unless Steered.
	Queue int `yaml:"queue"`
	// Steered promises that the device was told to deliver our datagrams to these
	// queues only, such as by ethtool -N. What it delivers to others goes to the
	// kernel.
	Steered bool `yaml:"steered"`
	// Mode is where packets are looked at: native, in the driver; generic, in the
	// kernel's common part, on any interface; or auto: native if it can be had.
	Mode string `yaml:"mode"`
	// ZeroCopy has the device read and write our memory itself: on, off, or auto:
	// on if it can.
	ZeroCopy string `yaml:"zero_copy"`
	// TxChecksum has the device complete the checksums of what is sent: on, off, or
	// auto: on where the driver says that it can. Where it cannot, on has the kernel
	// do it as it copies, which takes longer than to do it here.
	TxChecksum string `yaml:"tx_checksum"`
	// BusyPoll is for how many microseconds the kernel polls the device itself when it
	// is called, 0 to 1000000, where that can be had: packets name who would be
	// polled. 0 leaves the device to its interrupts.
	BusyPoll int `yaml:"busy_poll"`
	// MTU is the longest IP packet that is sent, in bytes, 1280 to that of the
	// interface; 0 takes the interface's.
	MTU int `yaml:"mtu"`

	// RxRing and TxRing are the sizes of the rings shared with the kernel, in
	// packets, powers of two from 64 to 32768. Where the kernel copies, it has 512
	// frames to receive into at first, and up to RxRing as bursts want more.
	RxRing int `yaml:"rx_ring"`
	TxRing int `yaml:"tx_ring"`
	// Buffers is how many packets of each queue, beside those in the rings, may be
	// received and not released, or reserved and not sent, half of them each, 256
	// to 1048576.
	Buffers int `yaml:"buffers"`

	// Memory names packet memory that interfaces of this process have in common:
	// what one received another sends as it lies ([transport.Forwarder]). They need
	// the same MTU, rings and buffers. Empty gives the interface memory of its own.
	Memory string `yaml:"memory"`
	// Sharers is how many interfaces of as many queues as this one there is to be
	// memory for, 2 to 16, where Memory is given. The first that is opened decides.
	Sharers int `yaml:"sharers"`
}

const minMTU = 1280 // RFC 8200 §5

var (
	modes   = []string{"auto", "native", "generic"}
	choices = []string{"auto", "on", "off"}
)

// DefaultConfig lacks only Interface.
func DefaultConfig() Config {
	return Config{Mode: "auto", ZeroCopy: "auto", TxChecksum: "auto", RxRing: 2048, TxRing: 1024, Buffers: 4096, Sharers: 2}
}

// Validate checks each key, without a look at the host. Its errors are
// [*transport.ConfigError].
func (c *Config) Validate() error {
	if _, err := c.addrs(); err != nil {
		return err
	}
	for _, r := range []struct {
		key             string
		value, min, max int
	}{
		{"queue", c.Queue, 0, 1 << 12},
		{"rx_ring", c.RxRing, 64, 1 << 15},
		{"tx_ring", c.TxRing, 64, 1 << 15},
		{"buffers", c.Buffers, 256, 1 << 20},
		{"busy_poll", c.BusyPoll, 0, 1_000_000},
		{"sharers", c.Sharers, 2, 16},
	} {
		if r.value < r.min || r.value > r.max {
			return wrong(r.key, "%d is out of range: give %d to %d", r.value, r.min, r.max)
		}
	}
	for key, size := range map[string]int{"rx_ring": c.RxRing, "tx_ring": c.TxRing} {
		if size&(size-1) != 0 {
			return wrong(key, "%d is no power of two: give 1024, 2048 or such", size)
		}
	}
	if c.MTU != 0 && c.MTU < minMTU {
		return wrong("mtu", "%d is out of range: give %d to the interface's, or 0 to take that", c.MTU, minMTU)
	}
	if !slices.Contains(modes, c.Mode) {
		return wrong("mode", "%q is none of the choices: write one of %v", c.Mode, modes)
	}
	if !slices.Contains(choices, c.ZeroCopy) {
		return wrong("zero_copy", "%q is none of the choices: write one of %v", c.ZeroCopy, choices)
	}
	if !slices.Contains(choices, c.TxChecksum) {
		return wrong("tx_checksum", "%q is none of the choices: write one of %v", c.TxChecksum, choices)
	}
	if c.Mode == "generic" && c.ZeroCopy == "on" {
		return wrong("zero_copy", "in mode generic the kernel always copies: take mode native or auto, or leave it out")
	}
	return nil
}

// addrs is IP, parsed.
func (c *Config) addrs() ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, text := range c.IP {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, wrong("ip", "%q is no address: write such as 10.0.1.7, without a length or a zone", text)
		}
		a = a.Unmap()
		if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			return nil, wrong("ip", "%v is not an address of one host: give one of the interface's, or none to take all", a)
		}
		if slices.Contains(addrs, a) {
			return nil, wrong("ip", "%v is given twice: keep one", a)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

func wrong(key, format string, args ...any) error {
	return &transport.ConfigError{Driver: name, Key: key, Problem: fmt.Sprintf(format, args...)}
}
