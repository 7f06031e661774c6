package uring

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// disabledFile is the switch by which administrators turn io_uring off.
const disabledFile = "/proc/sys/kernel/io_uring_disabled"

// refused says why io_uring_setup failed and what to do.
func refused(errno unix.Errno, o Options) error {
	disabled, _ := os.ReadFile(disabledFile) // absent before Linux 6.6
	return explain(errno, o, strings.TrimSpace(string(disabled)))
}

func explain(errno unix.Errno, o Options, disabled string) error {
	unsupported := func(why string) error {
		return fmt.Errorf("uring: %s: %w (%w)", why, errors.ErrUnsupported, errno)
	}
	switch {
	case errno == unix.ENOSYS:
		return unsupported("this kernel has no io_uring, or a seccomp filter hides it: use Linux 6.1 or later, and in a container " +
			"a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register")
	case errno == unix.EPERM && disabled == "2":
		return unsupported("io_uring is turned off for all processes: set sysctl kernel.io_uring_disabled=0")
	case errno == unix.EPERM && disabled == "1":
		return unsupported("io_uring is turned off for unprivileged processes: set sysctl kernel.io_uring_disabled=0, " +
			"or run with CAP_SYS_ADMIN or in the group of sysctl kernel.io_uring_group")
	case errno == unix.EPERM || errno == unix.EACCES:
		return unsupported("a seccomp filter or security module forbids io_uring, as the default profiles of Docker and containerd do: " +
			"allow io_uring_setup, io_uring_enter and io_uring_register")
	case errno == unix.ENOMEM:
		return fmt.Errorf("uring: no memory for the rings: raise the limit of locked memory (ulimit -l, LimitMEMLOCK=) "+
			"or that of the cgroup: %w", errno)
	case errno == unix.EMFILE || errno == unix.ENFILE:
		return fmt.Errorf("uring: too many open files: raise ulimit -n: %w", errno)
	case errno == unix.EINVAL && o.Poller:
		return unsupported("this kernel has no poller as asked for: give a CPU that is online, or none")
	case errno == unix.EINVAL && o.OneThread:
		return unsupported("this kernel is too old for a ring of one thread: use Linux 6.1 or later")
	case errno == unix.EINVAL:
		return unsupported("this kernel is too old: use Linux 6.1 or later")
	}
	return fmt.Errorf("uring: cannot set up a ring: %w", errno)
}
