package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/peregrine-rpc/peregrine"
)

// serverAddr is what a command takes as its argument.
const serverAddr = "the server's address, such as " + defaultAddr

// target is a server's address as a user writes it.
type target struct {
	text  string
	addrs []netip.AddrPort // of its host, at least one, IPv4 first
}

func resolveTarget(ctx context.Context, text string) (target, error) {
	if scheme, addr, ok := strings.Cut(text, "://"); ok {
		return target{}, fmt.Errorf("%q is a URL: write the server's address, as in %s, and the client's own %s URL behind --transport",
			text, addr, scheme)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return target{}, fmt.Errorf("%q is not host:port: write %s", text, serverAddr)
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil || number == 0 {
		return target{}, fmt.Errorf("%q is no port: write a number from 1 to 65535, as in %s", port, defaultAddr)
	}
	if host == "" {
		host = "localhost" // as package net has it: this machine
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return target{}, fmt.Errorf("there is no host %q: %w", host, err)
	}
	t := target{text: text}
	for _, addr := range found {
		t.addrs = append(t.addrs, netip.AddrPortFrom(addr.Unmap(), uint16(number)))
	}
	slices.SortStableFunc(t.addrs, func(a, b netip.AddrPort) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	return t, nil
}

// addr is the one to go to where only one can be tried.
func (t target) addr() netip.AddrPort { return t.addrs[0] }

// clientURL is a UDP address from which the target can be reached.
func (t target) clientURL() string {
	switch ip := t.addr().Addr(); {
	case len(t.addrs) == 1 && ip.IsLoopback():
		return "udp://" + netip.AddrPortFrom(ip, 0).String()
	case t.addrs[len(t.addrs)-1].Addr().Is4():
		return "udp://0.0.0.0:0"
	}
	return "udp://[::]:0"
}

// unanswered says what to do about a server that is not there. flags are those it takes.
func (t target) unanswered(backend, flags string, err error) error {
	url := backend + "://..." // a device, which the address does not tell
	if backend == "udp" {
		url = "udp://" + t.addr().String()
	}
	remedy := fmt.Sprintf("start one with `peregrine serve %s%s`", flags, url)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		remedy += ", and look for a firewall on the way"
	}
	return fmt.Errorf("no server answers at %s: %s (%w)", t.text, remedy, err)
}

// open opens an endpoint that calls the target, at url.
func (t target) open(url string, opts ...peregrine.Option) (*peregrine.Endpoint, error) {
	return peregrine.Listen(url, append(opts, peregrine.WithConfig(peregrine.Config{ClientOnly: true}))...)
}

// dial opens a session over e, with the remedy in the error.
func (t target) dial(ctx context.Context, e *peregrine.Endpoint) (*peregrine.Session, error) {
	s, err := e.Dial(ctx, t.text)
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case wantsCredentials(err):
		return nil, withFlags(err)
	}
	return nil, t.unanswered(e.Caps().Backend, "", err)
}

// wantsCredentials says whether a server that is there refuses, or is refused, for how the connection
// is to be sealed. A client's certificate is looked at after the client is done, and has dialed.
func wantsCredentials(err error) bool {
	return slices.Contains([]peregrine.Code{peregrine.FailedPrecondition, peregrine.Unauthenticated}, peregrine.CodeOf(err))
}

// withFlags is such an error with what to look at.
func withFlags(err error) error { return fmt.Errorf("%w (see --tls-ca, --tls-cert and --psk)", err) }

// connect opens an endpoint at a URL, or where that is empty at one that reaches the target, and dials it.
func (t target) connect(ctx context.Context, url string, flags *endpointFlags) (*peregrine.Endpoint, *peregrine.Session, error) {
	opts, err := flags.options()
	if err != nil {
		return nil, nil, err
	}
	e, err := t.open(flags.url(cmp.Or(url, t.clientURL())), opts...)
	if err != nil {
		return nil, nil, err
	}
	session, err := t.dial(ctx, e)
	if err != nil {
		return nil, nil, errors.Join(err, e.Close())
	}
	return e, session, nil
}
