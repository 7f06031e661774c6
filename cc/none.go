package cc

import "time"

// DefaultWindow is the largest window in bytes unless configured otherwise: the
// bandwidth-delay product of 100 Gbit/s at 160 µs, beyond what a kernel path on
// one core can use.
const DefaultWindow = 2 << 20

// NoneConfig holds the parameters of "none".
type NoneConfig struct {
	// Window is constant, in bytes.
	Window int `yaml:"window"`
}

// Validate reports the key that is out of range.
func (c *NoneConfig) Validate() error { return checkWindow("window", c.Window, maxWindow) }

func init() {
	Register(Algorithm{
		Name:   "none",
		Config: func() any { return &NoneConfig{Window: DefaultWindow} },
		New: configured(func(c NoneConfig) Factory {
			return None(c.Window)
		}),
	})
}

// Constant says whether a controller is None's: it need be told nothing, and its
// window and rate are asked for once.
func Constant(c Controller) bool {
	_, ok := c.(none)
	return ok
}

// None makes controllers that never react: the window is constant, in bytes.
// What bounds the sender then is that window, the peer's credits and its
// receive window.
func None(window int) Factory {
	return func(p Path) Controller { return none(max(window, p.Datagram)) }
}

type none int

func (none) Sent(time.Duration, int, int) {}
func (none) Acked(Ack)                    {}
func (none) Lost(Loss)                    {}
func (none) Spurious(time.Duration, int)  {}
func (none) TimedOut(time.Duration)       {}
func (n none) Window() int                { return int(n) }
func (none) Rate() uint64                 { return 0 }
