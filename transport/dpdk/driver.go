package dpdk

import (
	"errors"
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
		return nil, errors.New("dpdk: these settings are another backend's: fill in what this driver's Config returns")
	}
	return Open(*c, queue, queues)
}

// Open opens one queue, counted from 0, of a device. The first Open of a process
// starts EAL; the first of a device configures it for that many queues, and the
// others must agree with it in all of cfg.
//
// Where the port is 0, the first queue chooses one, and all share it.
func Open(cfg Config, queue, queues int) (transport.Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if queue < 0 || queue >= queues {
		return nil, fmt.Errorf("dpdk: there is no queue %d of %d: count from 0", queue, queues)
	}
	return open(&cfg, queue, queues)
}

// Stat is one of a device's extended statistics.
type Stat struct {
	Name  string
	Value uint64
}

// ExtendedStats is what the transports of this package implement beyond
// [transport.Transport]: what the device's driver counts, in its own names, for
// all its queues together. On AWS these include the allowances exceeded
// (bw_in_allowance_exceeded). Any goroutine may call it; it takes milliseconds.
type ExtendedStats interface {
	ExtendedStats() ([]Stat, error)
}
