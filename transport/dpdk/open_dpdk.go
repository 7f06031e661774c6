//go:build dpdk

package dpdk

import (
	"errors"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Built says whether this program has DPDK.
const Built = true

func open(cfg *Config, queue, queues int) (transport.Transport, error) {
	p, err := acquire(cfg, queue, queues)
	if err != nil {
		return nil, err
	}
	q, err := openQueue(p, cfg, queue)
	if err != nil {
		return nil, errors.Join(err, p.release(queue, 0))
	}
	return q, nil
}
