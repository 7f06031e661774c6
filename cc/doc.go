// Package cc holds congestion controllers. A [Controller] sees events of one
// path (sent, acknowledged, lost, timed out) and answers with a window; it
// never touches a packet, a clock or a timer.
package cc
