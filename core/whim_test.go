package core

import (
	"math/rand/v2"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
)

// whim is a controller that changes its mind all the time.
type whim struct {
	random *rand.Rand
	window int
	rate   uint64
}

func (c *whim) change() {
	c.window = c.random.IntN(50_000)
	c.rate = []uint64{0, 100_000, 10_000_000, 1_000_000_000}[c.random.IntN(4)]
}

func (c *whim) Sent(time.Duration, int, int) {}
func (c *whim) Acked(cc.Ack)                 { c.change() }
func (c *whim) Lost(cc.Loss)                 { c.change() }
func (c *whim) Spurious(time.Duration, int)  { c.change() }
func (c *whim) TimedOut(time.Duration)       { c.change() }
func (c *whim) Window() int                  { return c.window }
func (c *whim) Rate() uint64                 { return c.rate }
