// Package crowd makes hosts crowded: with programs that want the CPUs too, with
// less than a CPU for each process, with a quota.
package crowd
