// Package idle measures what a session costs in memory while nobody uses it, on
// either side: with one endpoint a side, before and after many sessions were
// opened and have made a call each.
package idle
