//go:build dpdk

package dpdk

// #include "redirection.h"
import "C"

// redirection is the queue that each value of the device's hash leads to, modulo
// the table's length; empty where there is nothing to choose, or the device does
// not say.
func (p *port) redirection() []uint16 {
	if len(p.queues) == 1 || !p.spreads || p.isolated {
		return nil // an isolated port's rules name one UDP port
	}
	var table [512]C.uint16_t
	var size C.int
	_ = theControl().do(func() error {
		size = C.peregrine_redirection(C.uint16_t(p.id), &table[0], C.uint16_t(len(table)))
		return nil
	})
	queues := make([]uint16, size)
	for i := range queues {
		queues[i] = uint16(table[i])
	}
	return queues
}
