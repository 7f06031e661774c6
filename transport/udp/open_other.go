//go:build !linux

package udp

import (
	"net/netip"

	"github.com/peregrine-rpc/peregrine/transport"
)

func open(cfg Config, addr netip.AddrPort, queue, queues int) (transport.Transport, error) {
	return openPortable(cfg, addr, queue, queues)
}
