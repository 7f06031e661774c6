package raw

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// bestWindow is as many bytes as keep both sides busy and still lie in a cache
// that they share. Four times as many are slower on CPUs that are far apart.
const bestWindow = 512 << 10

// Bulk sends datagrams of l.Size one way and measures what arrives. The
// receiver tells how much came, and no more is sent before than a part of its
// buffer holds; so nothing is lost but on the network. l.Window is how many
// datagrams may be unanswered; 0 chooses, and more than fit are never sent. An
// interrupt is as for Echo.
func (c *Client) Bulk(ctx context.Context, l Load) (measure.Result, error) {
	if err := c.check(l, MinBulk); err != nil {
		return measure.Result{}, err
	}
	before, err := c.Statistics(ctx)
	if err != nil {
		return measure.Result{}, err
	}
	if l.Size > before.MaxPayload {
		return measure.Result{}, fmt.Errorf("the server receives at most %d bytes a datagram: use --size %d", before.MaxPayload, before.MaxPayload)
	}
	b := &sending{Client: c, size: l.Size, payload: make([]byte, l.Size-MinBulk)}
	b.window = window(l.Window, before.RecvBuffer, l.Size)
	b.every = max(1, b.window/4)
	result, err := b.measure(ctx, l)
	if err != nil {
		return result, err
	}
	after, err := c.after(ctx, before)
	if err != nil {
		return result, err
	}
	server := after.Usage.Since(before.Usage)
	result.ServerCPU = float64(server.CPU) / float64(max(b.received, 1))
	result.ServerAllocs = float64(server.Mallocs) / float64(max(b.received, 1))
	result.ServerSyscalls = float64(server.Syscalls) / float64(max(b.received, 1))
	result.ServerCollections = server.Collections
	return result, context.Cause(ctx)
}

// window returns how many datagrams of size may be unanswered. A kernel counts
// a datagram in a socket buffer as up to twice its size, hence a quarter of the
// buffer.
func window(asked, buffer, size int) uint64 {
	if buffer == 0 {
		buffer = bestWindow
	}
	if asked == 0 {
		asked = bestWindow / size
	}
	return uint64(max(2, min(asked, buffer/4/size)))
}

// sending is one run of Bulk.
type sending struct {
	*Client
	size    int
	payload []byte
	window  uint64
	every   uint64

	sent     uint64 // datagrams, and the last one's sequence number
	answered uint64 // highest sequence number known to have arrived
	received uint64 // datagrams the server counted
	bytes    uint64 // bytes the server counted
}

func (b *sending) measure(ctx context.Context, l Load) (measure.Result, error) {
	var (
		result      measure.Result
		usage       measure.Usage
		began       time.Duration
		measuring   bool
		interrupted bool
		base        sending // counters at the beginning of the measured time
		idle        = idler{tr: b.tr, spin: l.Spin}
		start       = b.now()
		progress    = start
	)
	for {
		if err := b.fill(); err != nil {
			return result, err
		}
		n, err := b.receive()
		if err != nil {
			return result, err
		}
		now := b.now()
		switch {
		case n > 0:
			idle.busy()
			progress = now
			interrupted = ctx.Err() != nil
		case now-progress > silence:
			// The tail was lost: one datagram more, answered at once.
			progress = now
			interrupted = ctx.Err() != nil
			if err := b.send(1); err != nil {
				return result, err
			}
			if err := b.tx.flush(); err != nil {
				return result, err
			}
		case b.sent-b.answered >= b.window:
			if err := idle.idle(silence); err != nil {
				return result, err
			}
		}
		switch {
		case !measuring && interrupted:
			return result, context.Cause(ctx)
		case !measuring && now >= start+l.Warmup:
			measuring = true
			usage = measure.UsageNow(b.tr.Stats())
			base = *b
			began = b.now()
		case interrupted, measuring && l.over(now-began, b.received-base.received):
			result.Per(b.received-base.received, now-began, measure.UsageNow(b.tr.Stats()).Since(usage), measure.Usage{})
			result.Goodput = measure.Gigabits(b.bytes-base.bytes, now-began)
			result.Lost = b.answered - min(b.answered, b.received)
			return result, nil
		}
	}
}

// fill sends up to one burst of what the window allows.
func (b *sending) fill() error {
	room := min(b.window-min(b.window, b.sent-b.answered), uint64(len(b.tx.pkts)))
	for range room {
		if err := b.send(b.every); err != nil {
			return err
		}
	}
	return b.tx.flush()
}

func (b *sending) send(every uint64) error {
	p, err := b.tx.next()
	if err != nil {
		return err
	}
	b.sent++
	p.Route, p.Head = b.route, p.Head[:MinBulk]
	setHeader(p.Head, bulk, b.run, b.sent)
	binary.LittleEndian.PutUint64(p.Head[16:], every)
	p.Payload = b.payload // never written: it need not wait for Completed
	return nil
}

func (b *sending) receive() (int, error) {
	n, err := b.tr.Recv(b.rx)
	if err != nil {
		return 0, err
	}
	for i := range b.rx[:n] {
		data := b.rx[i].Data
		if len(data) != answerSize || kindOf(data) != answer || runOf(data) != b.run {
			continue
		}
		b.answered = max(b.answered, min(sequence(data), b.sent))
		b.received = max(b.received, binary.LittleEndian.Uint64(data[16:]))
		b.bytes = max(b.bytes, binary.LittleEndian.Uint64(data[24:]))
	}
	b.tr.Release(b.rx[:n])
	return n, nil
}
