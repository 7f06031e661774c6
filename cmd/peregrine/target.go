package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine"
)

// connectTimeout is how long a server may take to answer the first time.
const connectTimeout = 3 * time.Second

// target is a server's address as a user writes it.
type target struct {
	text string
	addr netip.AddrPort
}

func resolveTarget(text string) (target, error) {
	udp, err := net.ResolveUDPAddr("udp", text)
	if err != nil {
		return target{}, fmt.Errorf("%q is no address of a server: write host:port, such as %s (%w)", text, defaultAddr, err)
	}
	addr := udp.AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if !addr.Addr().IsValid() {
		return target{}, fmt.Errorf("%q names no host: write host:port, such as %s", text, defaultAddr)
	}
	return target{text, addr}, nil
}

// clientURL is a UDP address from which the target can be reached.
func (t target) clientURL() string {
	switch ip := t.addr.Addr(); {
	case ip.IsLoopback():
		return "udp://" + netip.AddrPortFrom(ip, 0).String()
	case ip.Is4():
		return "udp://0.0.0.0:0"
	}
	return "udp://[::]:0"
}

// unanswered says what to do about a server that is not there. flags are those it takes.
func (t target) unanswered(backend, flags string, err error) error {
	url := backend + "://..." // a device, which the address does not tell
	if backend == "udp" {
		url = "udp://" + t.addr.String()
	}
	return fmt.Errorf("no server answers at %s: start one with `peregrine serve %s%s`, and look for a firewall on the way (%w)", t.text, flags, url, err)
}

// dial opens a session over e, with the remedy in the error.
func (t target) dial(ctx context.Context, e *peregrine.Endpoint) (*peregrine.Session, error) {
	waiting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	s, err := e.Dial(waiting, t.addr.String())
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, errInterrupted
	}
	return nil, t.unanswered(e.Caps().Backend, "", err)
}

var errInterrupted = errors.New("interrupted")
