package udp

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
		return nil, errors.New("udp: these settings are another backend's: fill in what this driver's Config returns")
	}
	return Open(*c, queue, queues)
}

// Open opens one queue, counted from 0, of several that share an address. The
// kernel spreads flows over the queues by a hash of the addresses and ports.
//
// Where the address has port 0 and there are several queues, queue 0 gets a
// port, and the opener puts the port of its LocalAddr into the configuration of
// the others, as [transport.OpenQueues] does.
func Open(cfg Config, queue, queues int) (transport.Transport, error) {
	return open(cfg, queue, queues)
}

var errClosed = fmt.Errorf("udp: %w", transport.ErrClosed)
