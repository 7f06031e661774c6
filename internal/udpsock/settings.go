package udpsock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Settings is what a user says of a socket. A backend's configuration, which
// has the keys and the documentation, is converted to it.
type Settings struct {
	Address    string
	RecvBuffer int
	SendBuffer int
	Segment    bool
	GRO        bool
	MTU        int
	ECN        bool
	Timestamps bool
	Share      bool
}

// Defaults listen on any IPv4 address and a port of the kernel's choice, with
// all offloads on.
func Defaults() Settings {
	return Settings{
		Address:    "0.0.0.0:0",
		RecvBuffer: 8 << 20,
		SendBuffer: 4 << 20,
		Segment:    true,
		GRO:        true,
		ECN:        true,
		Timestamps: true,
	}
}

const (
	minMTU = 1280 // RFC 8200 §5
	maxMTU = 1 << 16

	maxBuffer = 1 << 30 // what the kernel's doubling leaves of an int32
)

// Validate checks each setting. Its errors are [*transport.ConfigError] of the
// named backend, all joined.
func (s *Settings) Validate(backend string) error {
	var errs []error
	refuse := func(key, format string, args ...any) {
		errs = append(errs, wrong(backend, key, format, args...))
	}
	host, port, err := net.SplitHostPort(s.Address)
	_, notPort := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		refuse("address", "%q is not host:port: write 0.0.0.0:31850, [::]:31850 or such", s.Address)
	case notPort != nil:
		refuse("address", "port %q of host %q is not a number from 0 to 65535", port, host)
	}
	for _, b := range []struct {
		key  string
		size int
	}{{"recv_buffer", s.RecvBuffer}, {"send_buffer", s.SendBuffer}} {
		if b.size < 1<<16 || b.size > maxBuffer {
			refuse(b.key, "%d bytes is out of range: give %d (one full datagram) to %d", b.size, 1<<16, maxBuffer)
		}
	}
	if s.MTU != 0 && (s.MTU < minMTU || s.MTU > maxMTU) {
		refuse("mtu", "%d is out of range: give %d to %d, or 0 to take the interface's", s.MTU, minMTU, maxMTU)
	}
	return errors.Join(errs...)
}

// Local checks the settings for one queue of several and finds the address to
// bind. An invalid IP in it stands for an empty host.
func (s *Settings) Local(backend string, queue, queues int) (netip.AddrPort, error) {
	if err := s.Validate(backend); err != nil {
		return netip.AddrPort{}, err
	}
	if queue < 0 || queue >= queues {
		return netip.AddrPort{}, fmt.Errorf("%s: there is no queue %d of %d: count from 0", backend, queue, queues)
	}
	resolved, err := net.ResolveUDPAddr("udp", s.Address)
	if err != nil {
		return netip.AddrPort{}, wrong(backend, "address", "%v: give an address of this host", err)
	}
	addr := resolved.AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if queue > 0 && addr.Port() == 0 {
		return addr, wrong(backend, "address", "port 0 would give queue %d of %d a port of its own: give the port that queue 0 got", queue, queues)
	}
	return addr, nil
}

func wrong(backend, key, format string, args ...any) error {
	return &transport.ConfigError{Driver: backend, Key: key, Problem: fmt.Sprintf(format, args...)}
}
