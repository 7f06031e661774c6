package transporttest

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// OnThreadThatEnds runs f on a thread that ends with it, which the program's first one
// never does.
func OnThreadThatEnds(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		defer runtime.UnlockOSThread()
		over := make(chan bool)
		go func() {
			defer close(over)
			runtime.LockOSThread()
			f()
		}()
		<-over
	}()
}
