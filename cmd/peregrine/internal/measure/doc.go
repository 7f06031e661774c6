// Package measure holds what every measuring command shares: a latency
// recorder, a process's use of CPU and heap, and the result that is printed
// for people and written as JSON for programs.
package measure
