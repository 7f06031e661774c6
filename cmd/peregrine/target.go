package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/peregrine-rpc/peregrine"
)

// target is a server's address as a user writes it.
type target struct {
	text string
	addr netip.AddrPort
}

// serverAddr is what a command takes as its argument.
const serverAddr = "the server's address, such as " + defaultAddr

func resolveTarget(text string) (target, error) {
	if scheme, addr, ok := strings.Cut(text, "://"); ok {
		return target{}, fmt.Errorf("%q is a URL: write the server's address, as in %s, and the client's own %s URL behind --transport",
			text, addr, scheme)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return target{}, fmt.Errorf("%q is not host:port: write %s", text, serverAddr)
	}
	if number, err := net.LookupPort("udp", port); err != nil || number == 0 {
		return target{}, fmt.Errorf("%q is no port: write a number from 1 to 65535, as in %s", port, defaultAddr)
	}
	if host == "" {
		host = "127.0.0.1" // as package net has it: this machine
	}
	udp, err := net.ResolveUDPAddr("udp", net.JoinHostPort(host, port))
	if err != nil {
		return target{}, fmt.Errorf("there is no host %q: %w", host, err)
	}
	addr := udp.AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
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
	s, err := e.Dial(ctx, t.addr.String())
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, t.unanswered(e.Caps().Backend, "", err)
}
