package xdp

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
		return nil, fmt.Errorf("xdp: configured by a %T: start from what Config returns", cfg)
	}
	return Open(*c, queue, queues)
}

// Open opens one queue, counted from 0, of several of an interface. The first
// Open puts the program on the interface, and the last Close takes it off; the
// queues in between must agree with the first in all of cfg.
//
// Where the port is 0, the first queue takes a free one, and all share it.
func Open(cfg Config, queue, queues int) (transport.Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if queue < 0 || queue >= queues {
		return nil, fmt.Errorf("xdp: there is no queue %d of %d: count from 0", queue, queues)
	}
	return open(&cfg, queue, queues)
}
