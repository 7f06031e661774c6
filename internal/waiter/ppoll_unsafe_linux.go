package waiter

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ppoll blocks, so the runtime is told. Both pointers lead to memory of the Go
// heap that the Waiter holds; the kernel keeps neither after the call.
func ppoll(fds []unix.PollFd, timeout *unix.Timespec) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
	return errno
}
