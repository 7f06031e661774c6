// Package flood sends garbage at a steady rate, to a server or to a port beside it that
// nobody reads: what a server loses by the one and not by the other, it loses by looking at
// garbage, and the rest is the host's.
package flood
