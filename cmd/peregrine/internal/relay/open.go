package relay

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// begin opens a flow for a client, or returns nil if it gets none.
func (r *Relay) begin(c client, now time.Duration) *flow {
	if now < r.barred {
		return nil
	}
	if full, victim := r.flows.full(); full {
		if victim == nil {
			r.stats.refused.Add(1)
			return nil
		}
		r.end(victim)
	}
	f := &flow{client: c}
	if err := r.connect(f); err != nil {
		why := err.Error()
		r.stats.refusal.Store(&why)
		r.stats.refused.Add(1)
		r.barred = now + barPause
		return nil
	}
	r.flows.add(f, now)
	r.stats.opened.Add(1)
	r.stats.open.Add(1)
	return f
}

// connect gives a flow its routes.
func (r *Relay) connect(f *flow) (err error) {
	if f.inward, err = r.inside.tr.Resolve(f.from, f.at); err != nil {
		return fmt.Errorf("relay: no way back to client %v: %w", f.from, err)
	}
	if err := r.leave(f); err != nil {
		r.inside.tr.Forget(f.inward)
		return fmt.Errorf("relay: no way to the server for client %v: %w", f.from, err)
	}
	return nil
}

// leave gives a flow its way out.
func (r *Relay) leave(f *flow) (err error) {
	if s := r.outside; s != nil {
		f.exit = s
		if f.outward, f.port, err = s.tr.(transport.ApartDialer).DialApart(r.cfg.Server); err == nil {
			s.ports[f.port] = f
		}
		return err
	}
	s := r.spare
	if r.spare = nil; s == nil {
		tr, err := r.open()
		if err != nil {
			return err
		}
		s = r.exit(tr)
	}
	if f.outward, err = transport.Dial(s.tr, r.cfg.Server); err != nil {
		return errors.Join(err, s.tr.Close())
	}
	f.exit, s.flow = s, f
	r.sleeper.add(s)
	r.list(s)
	return nil
}

// end closes a flow.
func (r *Relay) end(f *flow) {
	r.flows.remove(f)
	if r.latest == f {
		r.latest = nil
	}
	r.inside.tr.Forget(f.inward)
	s := f.exit
	s.tr.Forget(f.outward)
	if s.ports != nil {
		delete(s.ports, f.port)
	} else {
		r.sleeper.remove(s)
		r.unlist(s)
		_ = s.tr.Close() // it is nobody's any more, whatever became of it
	}
	r.stats.open.Add(^uint64(0))
}

// list has Poll look at a side.
func (r *Relay) list(s *side) {
	if !s.listed {
		s.listed = true
		r.active = append(r.active, s)
	}
}

func (r *Relay) unlist(s *side) {
	if i := slices.Index(r.active, s); i >= 0 {
		s.listed = false
		r.active = slices.Delete(r.active, i, i+1)
	}
}
