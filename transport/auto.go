package transport

import (
	"errors"
	"fmt"
)

// autoName is the scheme that chooses a backend.
const autoName = "auto"

// autoOrder is from the fastest to the slowest, as measured side by side.
var autoOrder = []string{"dpdk", "xdp", "iouring", "udp"}

// openAuto opens n queues of the first backend that can serve rest, the part of
// a URL behind the scheme.
func openAuto(rest string, n int) ([]Transport, error) {
	var refusals []error
	for _, name := range autoOrder {
		trs, err := OpenQueues(name+"://"+rest, n)
		if err == nil {
			for i, tr := range trs {
				trs[i] = chosen{tr, refusals}
			}
			return trs, nil
		}
		refusals = append(refusals, fmt.Errorf("auto did not take %s: %w", name, err))
	}
	return nil, fmt.Errorf("%w: no backend can serve %s://%s:\n%w", ErrUnavailable, autoName, rest, errors.Join(refusals...))
}

// chosen is a Transport that auto took, whose Notes say why it took no other.
type chosen struct {
	Transport
	refusals []error
}

func (c chosen) Caps() Caps {
	caps := c.Transport.Caps()
	var notes []string
	for _, err := range c.refusals {
		notes = append(notes, err.Error())
	}
	caps.Notes = append(notes, caps.Notes...)
	return caps
}
