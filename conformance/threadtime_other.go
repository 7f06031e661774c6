//go:build !linux

package conformance

import "time"

func threadTime() (time.Duration, bool) { return 0, false }
