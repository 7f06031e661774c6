// Package experiment measures congestion control in a simulated rack: engines
// as they are, over package sim, in virtual time. The same plan gives the same
// figures.
//
// An experiment (incast.go, fairness.go, mix.go, reverse.go, beside.go,
// share.go, slow.go, calls.go, change.go, loss.go) builds a
// rack (rack.go) of stations, starts flows of uploads between them (flow.go) or
// small calls (probe.go), and reports tables, plots and whether targets were
// met (report.go).
package experiment
