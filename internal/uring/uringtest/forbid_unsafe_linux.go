package uringtest

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Without runs f on a thread of its own whose io_uring_setup is answered with errno,
// as a container's filter does, and returns what f returns.
func Without(errno unix.Errno, f func() error) error {
	answer := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the filter ends with this thread
		err := forbid(unix.SYS_IO_URING_SETUP, errno)
		if err == nil {
			err = f()
		}
		answer <- err
	}()
	return <-answer
}

// forbid has the calling thread's system calls of that number answered with errno.
func forbid(number uint32, errno unix.Errno) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}
