package cc

import "time"

// DefaultWindow is the window of [None] in bytes: the bandwidth-delay product
// of 100 Gbit/s at 160 µs, beyond what a kernel path on one core can use.
const DefaultWindow = 2 << 20

// None makes controllers that never react: the window is constant, in bytes.
// What bounds the sender then is that window, the peer's credits and its
// receive window.
func None(window int) Factory {
	return func(p Path) Controller { return none(max(window, p.Datagram)) }
}

type none int

var _ Controller = none(0)

func (none) Sent(time.Duration, int, int) {}
func (none) Acked(Ack)                    {}
func (none) Lost(time.Duration, int)      {}
func (none) TimedOut(time.Duration)       {}
func (n none) Window() int                { return int(n) }
