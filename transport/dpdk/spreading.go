//go:build dpdk

package dpdk

import (
	"bytes"
	"errors"
	"syscall"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// spreading is how a device spreads packets over its queues.
type spreading struct {
	hash  netstack.Hash
	table []uint16 // the queue of each value, modulo its length; empty where nothing can be chosen
}

// spreading asks the device. Any goroutine but the control goroutine may call it.
func (p *port) spreading() (s spreading) {
	if len(p.queues) == 1 || !p.spreads || p.isolated {
		return s // an isolated port's rules name one UDP port
	}
	_ = theControl().do(func() error {
		given, err := p.hashKey()
		own, _ := p.cfg.rssKey() // an open port's is valid
		s = spreading{hashOf(p.driver, own, given, err), p.table()}
		return nil
	})
	return s
}

// hashOf is the hash of a device that was told to use the key own, and, asked for its
// key, answered given or err. A driver need not know the answer; but ENA's does unless
// its device's key cannot be set.
func hashOf(driver string, own, given []byte, err error) netstack.Hash {
	switch {
	case driver == "net_ena" && errors.Is(err, syscall.ENOTSUP):
		return netstack.ENA
	case err != nil || len(bytes.Trim(given, "\x00")) == 0:
		return netstack.Toeplitz(own)
	}
	return netstack.Toeplitz(given)
}
