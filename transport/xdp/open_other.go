//go:build !linux

package xdp

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
)

func open(*Config, int, int) (transport.Transport, error) {
	return nil, fmt.Errorf("%w: AF_XDP is the Linux kernel's: use udp here", transport.ErrUnavailable)
}
