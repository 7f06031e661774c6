package raw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// silence is after how long an unanswered datagram counts as lost.
	silence = 20 * time.Millisecond
	// A server is asked for its statistics again so often, until it has not
	// answered for patience; once we were interrupted, impatience is enough.
	again      = 200 * time.Millisecond
	patience   = 10 * time.Second
	impatience = time.Second
	// grace is how long the first datagram may take beyond what is measured for.
	grace = 30 * time.Second
	// maxWindow is as many as a datagram's slot can number.
	maxWindow = 1 << 16
)

// ErrNoAnswer says that no raw server answered.
var ErrNoAnswer = errors.New("no answer")

// Load says what to measure.
type Load struct {
	// Size is the datagrams' in bytes: at least MinEcho, or MinBulk.
	Size int
	// Window is how many echoes or bulk datagrams are outstanding.
	Window int
	// Warmup comes before the measured Duration, which goes on until something
	// has come back.
	Warmup, Duration time.Duration
	// Spin is how long to poll in vain before blocking.
	Spin time.Duration
	// SampleEvery is the sampling of latencies: 1 takes all.
	SampleEvery uint64
}

// over says whether it was measured for long enough, with so much come back.
func (l *Load) over(elapsed time.Duration, back uint64) bool {
	return elapsed >= l.Duration && (back > 0 || elapsed >= l.Duration+grace)
}

// A Client measures against one raw server. One goroutine calls its methods.
type Client struct {
	// Patience is how long the server may take to answer at all.
	Patience time.Duration

	tr     transport.Transport
	server netip.AddrPort
	route  transport.Route
	run    uint32
	rx     []transport.RxPacket
	tx     *burst
	base   time.Time
}

// NewClient sends to server over tr, which stays the caller's to close.
func NewClient(tr transport.Transport, server netip.AddrPort) (*Client, error) {
	route, err := tr.Resolve(server, netip.Addr{})
	if err != nil {
		return nil, err
	}
	return &Client{
		Patience: patience,
		tr:       tr, server: server, route: route, tx: newBurst(tr), base: time.Now(),
		rx:  make([]transport.RxPacket, max(batch, tr.Caps().RxBatch)),
		run: rand.Uint32() | 1, // zero is a server's initial state
	}, nil
}

// Statistics asks the server for its own, and again when nothing comes. The
// error wraps ErrNoAnswer when nothing ever does, or the host says so.
func (c *Client) Statistics(ctx context.Context) (Statistics, error) {
	for begin := time.Now(); time.Since(begin) < c.Patience; {
		p, err := c.tx.next()
		if err != nil {
			return Statistics{}, err
		}
		p.Route, p.Head = c.route, p.Head[:MinEcho]
		setHeader(p.Head, statistics, c.run, 0)
		if err := c.tx.flush(); err != nil {
			return Statistics{}, err
		}
		for deadline := time.Now().Add(again); ; {
			if ctx.Err() != nil {
				return Statistics{}, context.Cause(ctx)
			}
			left := time.Until(deadline)
			if left <= 0 {
				break
			}
			s, ok, err := c.findStatistics()
			if ok || err != nil {
				return s, err
			}
			if err := c.unreachable(); err != nil {
				return Statistics{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
			}
			if err := c.tr.Wait(left); err != nil {
				return Statistics{}, err
			}
		}
	}
	return Statistics{}, ErrNoAnswer
}

func (c *Client) findStatistics() (s Statistics, found bool, err error) {
	n, err := c.tr.Recv(c.rx)
	if err != nil {
		return s, false, err
	}
	for _, p := range c.rx[:n] {
		if len(p.Data) > MinEcho && kindOf(p.Data) == statistics && runOf(p.Data) == c.run {
			found = json.Unmarshal(p.Data[MinEcho:], &s) == nil
		}
	}
	c.tr.Release(c.rx[:n])
	return s, found, nil
}

// unreachable is what a host or router says of datagrams to the server, if any
// did and the transport hears it.
func (c *Client) unreachable() error {
	reporter, ok := c.tr.(transport.UnreachableReporter)
	for ok {
		word, more := reporter.NextUnreachable()
		if word.To == c.server && more {
			return word.Err
		}
		ok = more
	}
	return nil
}

// after asks the server once a measurement is over, also if that was
// interrupted, though not for long then and in vain at worst.
func (c *Client) after(ctx context.Context, before Statistics) (Statistics, error) {
	if ctx.Err() == nil {
		return c.Statistics(ctx)
	}
	hurry, cancel := context.WithTimeout(context.WithoutCancel(ctx), impatience)
	defer cancel()
	if after, err := c.Statistics(hurry); err == nil {
		return after, nil
	}
	return before, nil
}

func (c *Client) now() time.Duration { return time.Since(c.base) }

// check refuses sizes and windows that cannot work.
func (c *Client) check(l Load, least int) error {
	most := c.tr.Caps().MaxPayload
	switch {
	case l.Size < least || l.Size > most:
		return fmt.Errorf("a raw datagram has from %d to %d bytes here, not %d: change --size", least, most, l.Size)
	case l.Window < 0 || l.Window > maxWindow:
		return fmt.Errorf("--window is at most %d, not %d", maxWindow, l.Window)
	case l.SampleEvery < 1:
		return errors.New("sampling is of every first or later datagram")
	}
	return nil
}
