package peregrine

import "sync"

// Pool is a fixed set of workers, each a goroutine with a bounded queue, to
// which methods delegate their requests. Several methods and endpoints may
// share one.
type Pool struct {
	queues []chan task
	closed sync.Once
	done   sync.WaitGroup
}

type task struct {
	request *deferred
	handler Handler
}

// NewPool starts workers, at least one, with queues of depth requests each.
func NewPool(workers, depth int) *Pool {
	p := &Pool{queues: make([]chan task, max(1, workers))}
	for i := range p.queues {
		queue := make(chan task, depth)
		p.queues[i] = queue
		p.done.Go(func() {
			for t := range queue {
				t.request.run(t.handler)
			}
		})
	}
	return p
}

// Close lets the workers finish what is queued and waits for them. Close the
// endpoints that use the pool first.
func (p *Pool) Close() {
	p.closed.Do(func() {
		for _, q := range p.queues {
			close(q)
		}
	})
	p.done.Wait()
}

// Pooled runs the handler on whichever worker of p has room, the next in turn
// first. With all queues full requests fail with ResourceExhausted.
func Pooled(p *Pool) HandleOption {
	return func(at *placement) {
		at.wrap = func(h Handler) Handler {
			return func(r Request) {
				t := task{r.Defer().away, h}
				first := int(t.request.serial % uint64(len(p.queues)))
				for i := range p.queues {
					select {
					case p.queues[(first+i)%len(p.queues)] <- t:
						return
					default:
					}
				}
				t.request.answer(ResourceExhausted, []byte("all workers are busy"))
			}
		}
	}
}

// Partition runs the handler on the worker of p that key picks, so that
// requests of one key run one after the other, in the order received, and need
// no locks. With that worker's queue full they fail with ResourceExhausted.
func Partition(p *Pool, key func(data []byte) uint64) HandleOption {
	return func(at *placement) {
		at.wrap = func(h Handler) Handler {
			return func(r Request) {
				t := task{r.Defer().away, h}
				select {
				case p.queues[key(t.request.data)%uint64(len(p.queues))] <- t:
				default:
					t.request.answer(ResourceExhausted, []byte("the worker of this key is busy"))
				}
			}
		}
	}
}
