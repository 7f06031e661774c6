// Package floor measures what a host's clock, timers and system calls cost, and what
// small datagrams and small calls take over each backend on that host alone.
//
// The datagrams without the engine (package raw) are the floor that no program goes
// below, and the calls what Peregrine makes of it. Linux only.
package floor
