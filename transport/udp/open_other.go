//go:build !linux

package udp

import "github.com/peregrine-rpc/peregrine/transport"

func open(cfg Config, queue, queues int) (transport.Transport, error) {
	return openPortable(cfg, queue, queues)
}
