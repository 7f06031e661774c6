// Package affinity ties threads to CPUs.
//
// A polling loop wants a core of its own, and it alone: [Pin] moves one thread
// and leaves the rest of the process, with the garbage collector and the
// runtime's monitor, where it was. [SetProcess] moves all of it, for comparing
// programs on equal numbers of cores.
//
// Linux only. Elsewhere both return an error that wraps [errors.ErrUnsupported].
package affinity
