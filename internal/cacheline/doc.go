// Package cacheline measures how long a cache line takes from one CPU to
// another and back.
//
// Two programs that exchange small messages over one machine are bound by that
// time. On virtual machines it may change by a factor of five from one second to
// the next, as the host moves the virtual CPUs about, so a benchmark that does
// not state it cannot be compared with another.
package cacheline
