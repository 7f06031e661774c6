package cc

import (
	"fmt"
	"time"
)

// ConfigError says which parameter of a controller is out of range, and what to
// write instead.
type ConfigError struct {
	// Key is the key as the user writes it.
	Key string
	// Problem says what is wrong and what to do.
	Problem string
}

// Error names the key and the problem.
func (e *ConfigError) Error() string { return fmt.Sprintf("cc: key %q: %s", e.Key, e.Problem) }

// The windows that can be meant: from about a datagram on.
const minWindow, maxWindow = 1024, 1 << 30

func checkWindow(key string, bytes, most int) error {
	if bytes < minWindow || bytes > most {
		return &ConfigError{key, fmt.Sprintf("%d bytes is out of range: write a number from %d to %d", bytes, minWindow, most)}
	}
	return nil
}

// checkWindows refuses windows that cannot be meant.
func checkWindows(initial, most int) error {
	if err := checkWindow("max_window", most, maxWindow); err != nil {
		return err
	}
	return checkWindow("initial_window", initial, most)
}

// checkRange refuses parameters outside [low, high], and NaN.
func checkRange(key string, v, low, high float64) error {
	if !(v >= low && v <= high) {
		return &ConfigError{key, fmt.Sprintf("%v is out of range: write a number from %v to %v", v, low, high)}
	}
	return nil
}

// checkDelay refuses target delays that cannot be meant.
func checkDelay(d time.Duration) error {
	if d < time.Microsecond || d > time.Second {
		return &ConfigError{"target_delay", fmt.Sprintf("%v is out of range: write a duration from 1us to 1s", d)}
	}
	return nil
}

// checkBase refuses base RTTs that cannot be meant.
func checkBase(d time.Duration) error {
	if d < 0 || d > 10*time.Second {
		return &ConfigError{"base_rtt", fmt.Sprintf("%v is out of range: write a duration up to 10s, or 0 to measure it", d)}
	}
	return nil
}
