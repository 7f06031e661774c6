package raw

import (
	"context"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// outstanding is one echo on its way.
type outstanding struct {
	seq  uint64
	sent time.Duration
}

// Echo keeps l.Window echoes, at least one, outstanding and measures their rate
// and latency. If ctx ends while it measures, the result is what was measured so
// far, and the error [context.Cause].
func (c *Client) Echo(ctx context.Context, l Load) (measure.Result, error) {
	if err := c.check(l, MinEcho); err != nil {
		return measure.Result{}, err
	}
	before, err := c.Statistics(ctx)
	if err != nil {
		return measure.Result{}, err
	}
	e := &echoing{
		Client: c, size: l.Size, every: l.SampleEvery,
		slots: make([]outstanding, max(1, l.Window)), recorder: measure.NewRecorder(),
	}
	result, err := e.measure(ctx, l)
	if err != nil {
		return result, err
	}
	after, err := c.after(ctx, before)
	if err != nil {
		return result, err
	}
	result.Latency = e.recorder.Latency()
	// The server's share covers the warm-up too: it knows nothing of ours.
	server := after.Usage.Since(before.Usage)
	result.ServerCPU = float64(server.CPU) / float64(max(e.total, 1))
	result.ServerAllocs = float64(server.Mallocs) / float64(max(e.total, 1))
	result.ServerSyscalls = float64(server.Syscalls) / float64(max(e.total, 1))
	result.ServerCollections = server.Collections
	return result, context.Cause(ctx)
}

// echoing is one run of Echo.
type echoing struct {
	*Client
	size     int
	every    uint64
	slots    []outstanding
	next     uint64 // sequence number
	mark     uint64 // next at the last sweep
	recorder *measure.Recorder

	total, completed, sampled, wrong, lost uint64
}

func (e *echoing) measure(ctx context.Context, l Load) (measure.Result, error) {
	var (
		result      measure.Result
		usage       measure.Usage
		began       time.Duration
		measuring   bool
		interrupted bool
		idle        = idler{tr: e.tr, spin: l.Spin}
		start       = e.now()
		sweepAt     = start + silence
	)
	for slot := range e.slots {
		if err := e.send(slot, start); err != nil {
			return result, err
		}
	}
	if err := e.tx.flush(); err != nil {
		return result, err
	}
	for {
		n, err := e.receive()
		if err != nil {
			return result, err
		}
		if n == 0 {
			if err := idle.idle(silence); err != nil {
				return result, err
			}
		} else {
			idle.busy()
		}
		now := e.now()
		if now >= sweepAt {
			sweepAt = now + silence
			if err := e.sweep(now); err != nil {
				return result, err
			}
			interrupted = ctx.Err() != nil
		}
		switch {
		case !measuring && interrupted:
			return result, context.Cause(ctx)
		case !measuring && now >= start+l.Warmup:
			measuring = true
			e.recorder.Reset()
			usage = measure.UsageNow(e.tr.Stats())
			e.completed, e.sampled, e.wrong, e.lost = 0, 0, 0, 0
			began = e.now()
		case interrupted, measuring && l.over(now-began, e.sampled):
			result.Per(e.completed, now-began, measure.UsageNow(e.tr.Stats()).Since(usage), measure.Usage{})
			result.Errors, result.Lost = e.wrong, e.lost
			result.Goodput = measure.Gigabits(e.completed*uint64(e.size), now-began)
			return result, nil
		}
	}
}

// receive takes one burst of echoes and sends the next in their places.
func (e *echoing) receive() (int, error) {
	n, err := e.tr.Recv(e.rx)
	if err != nil || n == 0 {
		return 0, err
	}
	now := e.now()
	for i := range e.rx[:n] {
		data := e.rx[i].Data
		if len(data) < MinEcho || kindOf(data) != echo || runOf(data) != e.run {
			continue
		}
		slot := slotOf(data)
		if slot >= len(e.slots) || e.slots[slot].seq != sequence(data) {
			continue // late: counted as lost and sent again, or a duplicate
		}
		if len(data) != e.size {
			e.wrong++
		}
		o := &e.slots[slot]
		if o.seq%e.every == 0 {
			e.recorder.Record(now - o.sent)
			e.sampled++
		}
		e.completed++
		e.total++
		if err := e.send(slot, now); err != nil {
			return n, err
		}
	}
	e.tr.Release(e.rx[:n])
	return n, e.tx.flush()
}

func (e *echoing) send(slot int, now time.Duration) error {
	p, err := e.tx.next()
	if err != nil {
		return err
	}
	e.next++
	e.slots[slot] = outstanding{seq: e.next, sent: now}
	p.Route, p.Head = e.route, p.Head[:e.size]
	setHeader(p.Head, echo, e.run, e.next)
	setSlot(p.Head, slot)
	return nil
}

// sweep sends anew what was already outstanding at the last sweep.
func (e *echoing) sweep(now time.Duration) error {
	for slot := range e.slots {
		if e.slots[slot].seq <= e.mark {
			e.lost++
			if err := e.send(slot, now); err != nil {
				return err
			}
		}
	}
	e.mark = e.next
	return e.tx.flush()
}
