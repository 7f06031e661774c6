// Package doctor inspects a host and a network interface for what makes
// Peregrine slow or keeps it from working, and says what to do.
//
// It works in three steps, one a stage: [Collect] reads facts from the trees of
// /proc and /sys and from [Probes]; [Examine] turns facts into findings and reads
// nothing; [Diagnosis.Print] writes them for people. So every finding can be tested
// on trees of hosts that nobody here has.
package doctor
