package experiment

import (
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// uploads is the memory that all requests are sent from.
var uploads = make([]byte, 8<<20)

// flow keeps uploads from one station to another outstanding.
type flow struct {
	rack    *rack
	from    *station
	session *core.Session
	arrived *arrivals
	ended   bool
	failed  error
}

// connect opens a flow, which sends nothing yet.
func (r *rack) connect(from, to *station) (f *flow, err error) {
	f = &flow{rack: r, from: from, arrived: to.arrived.from(from.addr)}
	from.act(func() {
		if f.session, err = from.engine.Connect(to.addr); err == nil {
			f.session.Ready(func(failed error) { f.failed = failed })
		}
	})
	r.flows = append(r.flows, f)
	return f, err
}

// settle waits until all flows are connected and know their path's MTU.
func (r *rack) settle() error {
	const enough = time.Second
	for end := r.Now() + enough; ; {
		r.Run(4 * tick)
		if err := r.failure(); err != nil {
			return err
		}
		waiting := 0
		for _, f := range r.flows {
			if f.session.MTU() < f.from.arrived.Caps().MaxPayload {
				waiting++
			}
		}
		if waiting == 0 {
			return nil
		}
		if r.Now() >= end {
			return fmt.Errorf("%d of %d flows do not know their MTU after %v", waiting, len(r.flows), enough)
		}
	}
}

// incast is clients with flows to one server, connected one after the other so
// that each has seen the network idle.
func (r *rack) incast(clients int) (server *station, flows []*flow, err error) {
	if server, err = r.join(r.controller); err != nil {
		return nil, nil, err
	}
	for range clients {
		client, err := r.join(r.controller)
		if err != nil {
			return nil, nil, err
		}
		f, err := r.connect(client, server)
		if err != nil {
			return nil, nil, err
		}
		flows = append(flows, f)
		r.Run(20 * time.Microsecond)
	}
	return server, flows, r.settle()
}

// begin sends so many requests of so many bytes, and each again when it is
// answered.
func (f *flow) begin(size, outstanding int) {
	f.from.act(func() {
		for range outstanding {
			f.session.Submit(&core.Call{Method: upload, Request: uploads[:size], Done: f.again})
		}
	})
}

func (f *flow) again(c *core.Call) {
	switch {
	case f.ended:
	case c.Err != nil:
		f.failed = fmt.Errorf("upload from %v: %w", f.from.addr, c.Err)
	default:
		f.session.Submit(c)
	}
}

// end gives the flow up in the midst of its requests.
func (f *flow) end() {
	f.ended = true
	f.from.act(func() { f.session.Close() })
}

// rates are the goodputs of flows.
func rates(flows []*flow, from, to time.Duration) []float64 {
	list := make([]float64, len(flows))
	for i, f := range flows {
		list[i] = f.arrived.rate(from, to)
	}
	return list
}
