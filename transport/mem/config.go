package mem

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/peregrine-rpc/peregrine/transport"
)

func init() { transport.Register(driver{}) }

// Config is the configuration of one transport.
type Config struct {
	// Address is where peers reach it, in the address space of this process. A
	// wildcard, 0.0.0.0 or [::], stands for its loopback addresses. Port 0 takes a
	// free one.
	Address netip.AddrPort `yaml:"address" url:"host"`
	// MaxPayload is the most bytes of one datagram, from 64 to 65507.
	MaxPayload int `yaml:"max_payload"`
	// Buffers is how many datagrams may be in flight from it, and how many it
	// may hold unreleased; from 8 to 4096.
	Buffers int `yaml:"buffers"`
	// Poison overwrites datagrams when they are released, so that a user who
	// reads one too late sees 0xDB instead of luck.
	Poison bool `yaml:"poison"`
}

// The ranges of Config, and what a datagram holds on an Ethernet of 9000 bytes.
const (
	minPayload, defaultPayload, maxPayload = 64, 8972, 65507
	minBuffers, defaultBuffers, maxBuffers = 8, 512, 4096
)

func defaults() Config {
	return Config{Address: pairAddr(1, 0), MaxPayload: defaultPayload, Buffers: defaultBuffers}
}

// Validate checks the ranges.
func (c *Config) Validate() error {
	if !c.Address.Addr().IsValid() {
		return wrong("address", "missing: write one such as 127.0.0.1:31850")
	}
	if c.MaxPayload < minPayload || c.MaxPayload > maxPayload {
		return wrong("max_payload", "%d is out of range: write %d to %d", c.MaxPayload, minPayload, maxPayload)
	}
	if c.Buffers < minBuffers || c.Buffers > maxBuffers {
		return wrong("buffers", "%d is out of range: write %d to %d", c.Buffers, minBuffers, maxBuffers)
	}
	return nil
}

func wrong(key, format string, args ...any) error {
	return &transport.ConfigError{Driver: name, Key: key, Problem: fmt.Sprintf(format, args...)}
}

// Option changes what Pair makes.
type Option func(*Config)

// MaxPayload sets the most bytes of one datagram, from 64 to 65507; 8972 unless
// told.
func MaxPayload(bytes int) Option {
	return func(c *Config) { c.MaxPayload = min(max(bytes, minPayload), maxPayload) }
}

// Buffers sets how many datagrams may be in flight in each direction, from 8 to
// 4096; 512 unless told.
func Buffers(n int) Option {
	return func(c *Config) { c.Buffers = min(max(n, minBuffers), maxBuffers) }
}

// Poison overwrites datagrams when they are released; see [Config].
func Poison() Option {
	return func(c *Config) { c.Poison = true }
}

// Pair returns two transports that reach only each other, at [100::1]:1 and
// [100::2]:1. Each may have its own goroutine, or both the same.
func Pair(opts ...Option) (a, b transport.Transport) {
	cfg := defaults()
	for _, opt := range opts {
		opt(&cfg)
	}
	var between network
	return between.mustOpen(cfg, pairAddr(1, 1)), between.mustOpen(cfg, pairAddr(2, 1))
}

// pairAddr is an address of the block that is never routed (RFC 6666).
func pairAddr(host byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 1, 15: host}), port)
}

// name is the URL scheme.
const name = "mem"

// process is the address space behind URLs.
var process network

type driver struct{}

func (driver) Name() string { return name }

func (driver) Config() any {
	cfg := defaults()
	return &cfg
}

func (driver) Open(cfg any, queue, queues int) (transport.Transport, error) {
	c, ok := cfg.(*Config)
	if !ok {
		return nil, errors.New("mem: these settings are another backend's: fill in what this driver's Config returns")
	}
	e, err := process.open(*c, queue, queues)
	if err != nil {
		return nil, err
	}
	return e, nil
}
