//go:build dpdk

package dpdk

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// tickEvery is the resolution of the ports' clocks.
	tickEvery = 10 * time.Millisecond
	// lookEvery is how often a port's link and counters are read and drivers'
	// timers run. ENA wants a second at most.
	lookEvery = 100 * time.Millisecond
)

// control is the one goroutine that talks to EAL, but for bursts. It is locked
// to the thread that started EAL, since drivers arm timers on the thread that
// starts a port and expect them to be run there. It lives as long as the
// process: EAL cannot be started twice.
type control struct {
	commands chan func()

	// The goroutine's own.
	started   *environment // nil before EAL is
	failed    error        // why EAL did not start
	ports     map[string]*port
	ticker    *time.Ticker
	looked    time.Time
	portCount int // since the start
}

var theControl = sync.OnceValue(func() *control {
	c := &control{commands: make(chan func()), ports: map[string]*port{}, ticker: time.NewTicker(tickEvery)}
	c.ticker.Stop()
	go c.run()
	return c
})

// epoch is the origin of the ports' clocks.
var epoch = time.Now()

func (c *control) run() {
	runtime.LockOSThread()
	for {
		select {
		case command := <-c.commands:
			command()
		case <-c.ticker.C:
			c.tick()
		}
	}
}

// do runs a command there and returns its error. Any goroutine may call it but
// that one.
func (c *control) do(command func() error) error {
	done := make(chan error)
	c.commands <- func() { done <- command() }
	return <-done
}

func (c *control) tick() {
	now := time.Now()
	look := now.Sub(c.looked) >= lookEvery
	if look {
		c.looked = now
		manageTimers()
	}
	for _, p := range c.ports {
		p.clock.Store(int64(now.Sub(epoch)))
		p.takeEvents(now)
		if look || !p.up.Load() {
			p.look()
		}
	}
}

// start starts EAL unless it runs.
func (c *control) start(cfg *Config, first device) error {
	wanted := cfg.environment()
	switch {
	case c.failed != nil:
		return c.failed
	case c.started != nil:
		return wanted.agree(*c.started)
	}
	err := startEAL(cfg, first)
	if err == nil {
		c.started = &wanted
	} else if failed := (*startError)(nil); errors.As(err, &failed) {
		c.failed = err
	}
	return err
}

// acquire hands out one queue of the device that cfg names. The first caller
// attaches, configures and starts it, with all its queues.
func acquire(cfg *Config, queue, queues int) (*port, error) {
	c := theControl()
	var p *port
	err := c.do(func() (err error) {
		p, err = c.acquire(cfg, queue, queues)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.awaitLink()
	return p, nil
}

func (c *control) acquire(cfg *Config, queue, queues int) (*port, error) {
	d, err := parseDevice(cfg.Device)
	if err != nil {
		return nil, err
	}
	p := c.find(cfg.Device)
	if p == nil {
		if d, err = locate(d); err != nil {
			return nil, err
		}
		if err := checkParameters(driverNamed(d), d, libraryRelease()); err != nil {
			return nil, err
		}
		p = c.ports[d.name]
	}
	if p == nil {
		if err := c.start(cfg, d); err != nil {
			return nil, err
		}
		c.portCount++
		if p, err = openPort(cfg, d, queues, c.portCount); err != nil {
			return nil, err
		}
		c.ports[d.name] = p
		c.ticker.Reset(tickEvery)
	}
	if err := p.agree(cfg, queues); err != nil {
		return nil, err
	}
	if err := p.take(queue); err != nil {
		return nil, errors.Join(err, c.drop(p))
	}
	return p, nil
}

// find returns the port that was opened under the same words.
func (c *control) find(device string) *port {
	for _, p := range c.ports {
		if p.cfg.Device == device {
			return p
		}
	}
	return nil
}

// drop closes a port of which no queue is out.
func (c *control) drop(p *port) error {
	if slices.ContainsFunc(p.queues, func(q portQueue) bool { return q.out }) {
		return nil
	}
	delete(c.ports, p.device.name)
	if len(c.ports) == 0 {
		c.ticker.Stop()
	}
	return p.close()
}

// release gives a queue back, when its owner has left it for good; held is how
// many of its buffers the owner could not return, since they are lent to others.
// With its last queue the device is closed. Any goroutine may call it.
func (p *port) release(queue, held int) error {
	c := theControl()
	return c.do(func() error {
		p.giveBack(queue, held)
		return c.drop(p)
	})
}

// ExtendedStats reads what the device's driver counts.
func (p *port) ExtendedStats() ([]Stat, error) {
	var stats []Stat
	err := theControl().do(func() (err error) {
		if !p.open {
			return errClosed
		}
		stats, err = p.extendedStats()
		return err
	})
	return stats, err
}
