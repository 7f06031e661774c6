// Package uringtest is for tests of what happens where io_uring is not to be had.
package uringtest
