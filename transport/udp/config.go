package udp

import (
	"fmt"
	"net"
	"strconv"

	"github.com/peregrine-rpc/peregrine/transport"
)

const name = "udp"

// Config configures one queue. [DefaultConfig] returns a usable one; the tags
// are the keys of configuration files and URLs.
type Config struct {
	// Address is the local "host:port". An IPv4 address serves IPv4 only, an
	// IPv6 address IPv6 only; "[::]" and an empty host serve both. Port 0 asks
	// the kernel for a free one.
	Address string `yaml:"address" url:"host"`
	// RecvBuffer and SendBuffer are the socket's buffers in bytes. A busy
	// receiver loses what its buffer cannot hold while it is away.
	RecvBuffer int `yaml:"recv_buffer"`
	SendBuffer int `yaml:"send_buffer"`
	// Segment lets runs of equal-sized packets go down as one send
	// (UDP_SEGMENT), GRO lets them come up as one receive (UDP_GRO).
	Segment bool `yaml:"segment"`
	GRO     bool `yaml:"gro"`
	// MTU is the largest IP packet in bytes, from 1280 to 65536; 0 takes that
	// of the interface which has the address, or the largest for a wildcard.
	MTU int `yaml:"mtu"`
	// ECN lets the congestion code points be set and reported.
	ECN bool `yaml:"ecn"`
	// Timestamps lets the kernel stamp arrivals, so that time in the socket's
	// receive buffer does not count as the network's.
	Timestamps bool `yaml:"timestamps"`
}

const (
	minMTU = 1280 // RFC 8200 §5
	maxMTU = 1 << 16

	maxBuffer = 1 << 30 // what the kernel's doubling leaves of an int32
)

// DefaultConfig listens on any IPv4 address and a port of the kernel's choice,
// with all offloads on.
func DefaultConfig() Config {
	return Config{
		Address:    "0.0.0.0:0",
		RecvBuffer: 8 << 20,
		SendBuffer: 4 << 20,
		Segment:    true,
		GRO:        true,
		ECN:        true,
		Timestamps: true,
	}
}

// Validate checks each key. Its errors are [*transport.ConfigError].
func (c *Config) Validate() error {
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		return wrong("address", "%q is not host:port: write 0.0.0.0:31850, [::]:31850 or such", c.Address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return wrong("address", "port %q of host %q is not a number from 0 to 65535", port, host)
	}
	for _, b := range []struct {
		key  string
		size int
	}{{"recv_buffer", c.RecvBuffer}, {"send_buffer", c.SendBuffer}} {
		if b.size < 1<<16 || b.size > maxBuffer {
			return wrong(b.key, "%d bytes is out of range: give %d (one full datagram) to %d", b.size, 1<<16, maxBuffer)
		}
	}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return wrong("mtu", "%d is out of range: give %d to %d, or 0 to take the interface's", c.MTU, minMTU, maxMTU)
	}
	return nil
}

func wrong(key, format string, args ...any) error {
	return &transport.ConfigError{Driver: name, Key: key, Problem: fmt.Sprintf(format, args...)}
}
