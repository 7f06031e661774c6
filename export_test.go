package peregrine

import "time"

func init() { usual = Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute} }

// Record is for tests of histograms.
func Record(h *Histogram, d time.Duration) { h.record(d, 1) }
