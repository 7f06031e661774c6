package experiment

import (
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// probe makes small calls at times of its own, whether the ones before are
// answered or not, and notes how long each takes.
type probe struct {
	from    *station
	session *core.Session
	took    series
	failed  error
}

// probe opens a probe from a station to another.
func (r *rack) probe(from, to *station) (p *probe, err error) {
	p = &probe{from: from}
	from.act(func() {
		if p.session, err = from.engine.Connect(to.addr); err == nil {
			p.session.Ready(func(failed error) { p.failed = failed })
		}
	})
	return p, err
}

// run makes a call of so many bytes each every on average, until the end.
func (p *probe) run(size int, every, end time.Duration) {
	r := p.from.rack
	now := r.Now()
	if now >= end {
		return
	}
	p.from.act(func() {
		p.session.Submit(&core.Call{Method: ping, Request: uploads[:size], Done: func(c *core.Call) {
			if c.Err != nil {
				p.failed = fmt.Errorf("call from %v: %w", p.from.addr, c.Err)
			}
			p.took.add(r.Now(), r.Now()-now)
		}})
	})
	r.At(now+every/2+time.Duration(r.Rand().Int64N(int64(every))), func() { p.run(size, every, end) })
}
