// Package run makes one measurement at a time: a fresh server and its client as
// two processes, or a Go benchmark. Whatever happens, its processes end.
package run
