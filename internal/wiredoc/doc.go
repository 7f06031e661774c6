// Package wiredoc reads the test vectors of docs/wire.md, which is the one place where they are kept, for all tests that
// are held to them.
package wiredoc
