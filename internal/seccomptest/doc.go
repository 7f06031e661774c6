// Package seccomptest is for tests of what happens where the kernel refuses a system
// call, as a container's filter does, or as it does itself where memory is short.
package seccomptest
