// Package preempt tells whether a thread has lost its CPU to another one that wanted it too: what a loop that spins has to
// know, since it may be in somebody's way. A host that takes the CPU away from the whole virtual machine is not meant, nor
// is a thread that blocks.
package preempt
