//go:build !linux

package iouring

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
)

func open(Config, int, int) (transport.Transport, error) {
	return nil, fmt.Errorf("iouring: %w: io_uring is Linux's; use udp://", transport.ErrUnavailable)
}
