package iouring

import (
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/transport"
)

const name = "iouring"

// Config configures one queue. [DefaultConfig] returns a usable one; the tags
// are the keys of configuration files and URLs. All down to Share mean what they
// mean in transport/udp.
type Config struct {
	// Address is the local "host:port". An IPv4 address serves IPv4 only, an
	// IPv6 address IPv6 only; "[::]" and an empty host serve both. Port 0 asks
	// the kernel for a free one.
	Address string `yaml:"address" url:"host"`
	// RecvBuffer and SendBuffer are the socket's buffers in bytes.
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
	// Timestamps lets the kernel stamp arrivals.
	Timestamps bool `yaml:"timestamps"`
	// Share lets other processes of the same user listen on this address too, if
	// they set it as well.
	Share bool `yaml:"share"`

	// ZeroCopy is from how many bytes of payload on a message is sent without the
	// kernel copying it; 0 copies all. It pays on network cards that gather, for
	// runs of large packets, where the queue's owner has a thread of its own. Where
	// the kernel copies after all, it ends by itself.
	ZeroCopy int `yaml:"zero_copy"`
	// SQPoll has a thread of the kernel take what is sent. It needs a CPU of its own,
	// which it keeps busy until nothing was sent for a while.
	SQPoll bool `yaml:"sqpoll"`
	// SQPollCPU ties that thread to a CPU, counted from 0; -1 does not.
	SQPollCPU int `yaml:"sqpoll_cpu"`
	// BusyPoll is how long Wait looks into the network card's queue before it
	// sleeps, up to a second; 0 does not. Cards without NAPI, and virtual devices
	// such as veth and the loopback, are not affected.
	BusyPoll time.Duration `yaml:"busy_poll"`
}

const (
	maxZeroCopy = 1 << 16
	maxBusyPoll = time.Second
)

// DefaultConfig listens on any IPv4 address and a port of the kernel's choice,
// with all offloads on, and copies what it sends.
func DefaultConfig() Config {
	s := udpsock.Defaults()
	return Config{
		Address:    s.Address,
		RecvBuffer: s.RecvBuffer,
		SendBuffer: s.SendBuffer,
		Segment:    s.Segment,
		GRO:        s.GRO,
		MTU:        s.MTU,
		ECN:        s.ECN,
		Timestamps: s.Timestamps,
		Share:      s.Share,
		SQPollCPU:  -1,
	}
}

// Validate checks each key. Its errors are [*transport.ConfigError], all joined.
func (c *Config) Validate() error {
	var errs []error
	refuse := func(key, format string, args ...any) { errs = append(errs, wrong(key, format, args...)) }
	if c.ZeroCopy < 0 || c.ZeroCopy > maxZeroCopy {
		refuse("zero_copy", "%d bytes is out of range: give 0, which copies all, to %d", c.ZeroCopy, maxZeroCopy)
	}
	if c.SQPollCPU < -1 {
		refuse("sqpoll_cpu", "there is no CPU %d: count from 0, or give -1", c.SQPollCPU)
	}
	if c.SQPollCPU >= 0 && !c.SQPoll {
		refuse("sqpoll_cpu", "it is without effect: set sqpoll=true as well")
	}
	if c.BusyPoll < 0 || c.BusyPoll > maxBusyPoll {
		refuse("busy_poll", "%v is out of range: give 0s to %v", c.BusyPoll, maxBusyPoll)
	}
	s := c.settings()
	return errors.Join(append(errs, s.Validate(name))...)
}

// settings are those of the socket.
func (c *Config) settings() udpsock.Settings {
	return udpsock.Settings{
		Address:    c.Address,
		RecvBuffer: c.RecvBuffer,
		SendBuffer: c.SendBuffer,
		Segment:    c.Segment,
		GRO:        c.GRO,
		MTU:        c.MTU,
		ECN:        c.ECN,
		Timestamps: c.Timestamps,
		Share:      c.Share,
	}
}

func wrong(key, format string, args ...any) error {
	return &transport.ConfigError{Driver: name, Key: key, Problem: fmt.Sprintf(format, args...)}
}
