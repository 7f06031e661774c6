package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Every pointer that is handed to the kernel here leads to memory of the Go
// heap, which does not move, and is also held in a typed field of the socket (a
// Msghdr, an Iovec) or in the argument list itself, so that the collector sees
// it for as long as the call lasts. The kernel keeps none after the call.
//
// None of the calls blocks, so they go by RawSyscall6: through Syscall6 the
// runtime would take the P of a polling loop away now and then, which triples
// the p99.

func sendmsg(fd int, m *unix.Msghdr) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(m)), 0, 0, 0, 0)
	return errno
}

func sendmmsg(fd int, m []unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
