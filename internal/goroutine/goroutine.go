// Package goroutine tells one goroutine from another, so that code that owns something can say whether it is called on
// the goroutine that may touch it.
//
// Where two lines of assembly can read it, an ID is the address of the runtime's record of the goroutine, its g. A g is
// neither moved nor reused while its goroutine lives, so two goroutines that live at the same time never have one ID.
// It is used again once its goroutine has ended: who keeps an ID has to forget it by then. IDs are compared and never
// followed, so that nothing depends on what a g looks like.
package goroutine

// ID names a goroutine while it lives. 0 names none.
type ID uintptr
