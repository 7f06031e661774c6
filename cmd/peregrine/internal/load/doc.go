// Package load keeps calls outstanding over the engine, checks every reply, and
// measures.
//
// Two forms do so: continuations on the engine's loop, where each completed
// call submits the next, and goroutines that block in Call.
package load
