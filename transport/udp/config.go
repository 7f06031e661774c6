package udp

import "github.com/peregrine-rpc/peregrine/internal/udpsock"

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
	// Share lets other processes of the same user listen on this address too, if
	// they set it as well. The kernel deals peers out among them by a hash of the
	// addresses and ports, and anew whenever one comes or goes: connections that
	// land elsewhere are reset. Without it a taken port is an error.
	Share bool `yaml:"share"`
}

// DefaultConfig listens on any IPv4 address and a port of the kernel's choice,
// with all offloads on.
func DefaultConfig() Config { return Config(udpsock.Defaults()) }

// Validate checks each key. Its errors are [*transport.ConfigError], all joined.
func (c *Config) Validate() error {
	s := udpsock.Settings(*c)
	return s.Validate(name)
}
