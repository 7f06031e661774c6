package iouring

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
)

func init() { transport.Register(driver{}) }

type driver struct{}

func (driver) Name() string { return name }

func (driver) Config() any {
	c := DefaultConfig()
	return &c
}

func (driver) Open(cfg any, queue, queues int) (transport.Transport, error) {
	c, ok := cfg.(*Config)
	if !ok {
		return nil, fmt.Errorf("iouring: configured by a %T: start from what Config returns", cfg)
	}
	return Open(*c, queue, queues)
}

// Open opens one queue, counted from 0, of several that share an address, as
// transport/udp does. Where the host has no io_uring for this process, the error
// wraps [transport.ErrUnavailable] and says what to do.
func Open(cfg Config, queue, queues int) (transport.Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return open(cfg, queue, queues)
}
