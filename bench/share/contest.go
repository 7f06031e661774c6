package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// contest is flows that share a path.
type contest struct {
	path
	left, right group
}

// group is flows of one kind.
type group struct {
	n    int
	tcp  bool
	name string // of the controller
	// small is one that makes calls of 32 bytes one after the other, under the
	// controller, and measures what they take.
	small bool
}

func (g group) String() string {
	switch {
	case g.tcp:
		return fmt.Sprintf("%d × TCP %s", g.n, g.name)
	case g.small:
		return "small calls"
	}
	return fmt.Sprintf("%d × %s", g.n, g.name)
}

func (c contest) String() string {
	if c.right.n == 0 {
		return c.left.String()
	}
	return fmt.Sprintf("%v, %v", c.left, c.right)
}

// outcome is what each flow had, in bits per second, and what small calls took.
type outcome struct {
	left, right []float64
	p99         time.Duration
}

// timing is that of a run.
type timing struct{ settle, measured time.Duration }

// run lets them compete.
func (c contest) run(ctx context.Context, program string, t timing) (o outcome, err error) {
	net, err := build(c.path)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, net.close()) }()
	if s, err := serve(ctx, program, net.server); err != nil {
		return o, err
	} else {
		defer func() { err = errors.Join(err, s.stop()) }()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // whoever still runs
	left, err := net.begin(ctx, program, c.left, t, 5201)
	if err != nil {
		return o, err
	}
	right, err := net.begin(ctx, program, c.right, t, 5202)
	if err != nil {
		return o, errors.Join(err, left.stop())
	}
	if err = pause(ctx, t.settle); err == nil {
		left.mark()
		right.mark()
		err = pause(ctx, t.measured)
	}
	if err == nil {
		left.mark()
		right.mark()
		o.left, err = left.goodputs()
	}
	if err == nil {
		o.right, err = right.goodputs()
		o.p99 = right.p99
	}
	return o, errors.Join(err, left.stop(), right.stop())
}

// runner is a group at work. What TCP delivers is seen from one mark to the next;
// perf measures by itself, at about the same time.
type runner struct {
	streams *streams
	callers []*caller
	marks   []seen
	p99     time.Duration // of small calls, which count as none of the flows
}

type seen struct {
	at    time.Time
	bytes []int64
}

func (n *network) begin(ctx context.Context, program string, g group, t timing, port int) (*runner, error) {
	var r runner
	if g.n == 0 {
		return &r, nil
	}
	if g.tcp {
		var err error
		r.streams, err = n.stream(ctx, g.name, g.n, port)
		return &r, err
	}
	for range g.n {
		c, err := perf(ctx, program, n.client, g, t)
		if err != nil {
			return nil, err
		}
		r.callers = append(r.callers, c)
	}
	return &r, nil
}

func (r *runner) mark() {
	if r.streams != nil {
		r.marks = append(r.marks, seen{time.Now(), r.streams.have()})
	}
}

func (r *runner) goodputs() (list []float64, err error) {
	for _, c := range r.callers {
		result, err := c.result()
		if err != nil {
			return nil, err
		}
		if c.small {
			r.p99 = time.Duration(result.P99 * 1e3)
		} else {
			list = append(list, result.Goodput*1e9)
		}
	}
	if r.streams != nil {
		from, to := r.marks[0], r.marks[1]
		for i := range to.bytes {
			list = append(list, float64(to.bytes[i]-from.bytes[i])*8/to.at.Sub(from.at).Seconds())
		}
	}
	return list, nil
}

func (r *runner) stop() error {
	if r.streams != nil {
		return r.streams.stop()
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// share is what the left group has of all.
func (o outcome) share() float64 { return total(o.left) / (total(o.left) + total(o.right)) }

func total(shares []float64) (sum float64) {
	for _, x := range shares {
		sum += x
	}
	return sum
}

// jain is Jain's fairness index: 1 if all have the same.
func (o outcome) jain() float64 {
	var sum, squares float64
	n := 0
	for _, list := range [][]float64{o.left, o.right} {
		for _, x := range list {
			sum += x
			squares += x * x
			n++
		}
	}
	return sum * sum / (float64(n) * squares)
}
