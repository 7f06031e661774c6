// Package wiredoc reads the test vectors of docs/wire.md, which is the one place where they are kept, for all tests that
// are held to them, and bytes as they are written there, also for peregrine conform.
package wiredoc
