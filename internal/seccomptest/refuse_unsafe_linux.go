package seccomptest

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Refusing runs f on a thread of its own whose system calls of that number are
// answered with errno, and returns what f returns.
func Refusing(call uint32, errno unix.Errno, f func() error) error {
	answer := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the filter ends with this thread
		err := errUnfinished   // where f ends the goroutine, as a requirement does
		defer func() { answer <- err }()
		if err = refuse(call, errno); err == nil {
			err = errUnfinished
			err = f()
		}
	}()
	return <-answer
}

var errUnfinished = errors.New("what a system call was refused to did not come to its end")

// refuse has the calling thread's system calls of that number answered with errno. The
// kernel copies the filter within the call.
func refuse(call uint32, errno unix.Errno) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}
