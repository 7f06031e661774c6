package cc

import (
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/setting"
)

// ConfigError says which parameter of a controller is out of range, and what to
// write instead. It has the string fields Driver, which is "cc", Key and
// Problem, and is the same type as transport.ConfigError.
type ConfigError = setting.Error

// WindowConfig is of controllers whose window changes. In bytes.
type WindowConfig struct {
	InitialWindow int `yaml:"initial_window"`
	MaxWindow     int `yaml:"max_window"`
}

// defaultWindows starts with what small RPCs do not fill, and what 100 senders
// may send at once without loss (docs/congestion.md, incast).
func defaultWindows() WindowConfig {
	return WindowConfig{InitialWindow: 64 << 10, MaxWindow: DefaultWindow}
}

func (c *WindowConfig) validate() error {
	if err := checkWindow("max_window", c.MaxWindow, maxWindow); err != nil {
		return err
	}
	return checkWindow("initial_window", c.InitialWindow, c.MaxWindow)
}

// DelayConfig is of controllers that go by delay.
type DelayConfig struct {
	// TargetDelay is the queueing delay above the path's base RTT that is aimed
	// at; at least 1 µs. TargetRTTs raises it to so many base RTTs (at most 4
	// target delays), since where a round trip takes long, as through kernels,
	// the ends are noisy.
	TargetDelay time.Duration `yaml:"target_delay"`
	TargetRTTs  float64       `yaml:"target_rtts"`
	// BaseRTT is the path's round trip without queues, where it is known, as it
	// is in one fabric. 0 means the least that was measured; then a flow that
	// comes to a standing queue takes more than its share until it has seen less.
	BaseRTT time.Duration `yaml:"base_rtt"`
}

// defaultDelays has TIMELY's T_low of 50 µs (section 6 of the paper, and eRPC's
// kTLow), though as a delay on top of the base RTT. TargetRTTs is ours: with 4,
// noisy ends of an otherwise idle path cost nothing (idle_test.go).
func defaultDelays() DelayConfig {
	return DelayConfig{TargetDelay: 50 * time.Microsecond, TargetRTTs: 4}
}

func (c *DelayConfig) validate() error {
	return errors.Join(
		checkTime("target_delay", c.TargetDelay, time.Microsecond, time.Second),
		checkRange("target_rtts", c.TargetRTTs, 0, 100),
		checkTime("base_rtt", c.BaseRTT, 0, 10*time.Second),
	)
}

// The windows that can be meant: from about a datagram on.
const minWindow, maxWindow = 1024, 1 << 30

func checkWindow(key string, bytes, most int) error {
	if bytes < minWindow || bytes > most {
		return &ConfigError{Driver: "cc", Key: key, Problem: fmt.Sprintf("%d bytes is out of range: write a number from %d to %d", bytes, minWindow, most)}
	}
	return nil
}

// checkRange refuses parameters outside [low, high], and NaN.
func checkRange(key string, v, low, high float64) error {
	if !(v >= low && v <= high) {
		return &ConfigError{Driver: "cc", Key: key, Problem: fmt.Sprintf("%v is out of range: write a number from %v to %v", v, low, high)}
	}
	return nil
}

func checkTime(key string, d, low, high time.Duration) error {
	if d < low || d > high {
		return &ConfigError{Driver: "cc", Key: key, Problem: fmt.Sprintf("%v is out of range: write a duration from %v to %v", d, low, high)}
	}
	return nil
}
