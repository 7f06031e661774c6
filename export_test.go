package peregrine

import "time"

// Record is for tests of histograms.
func Record(h *Histogram, d time.Duration) { h.record(d, 1) }
