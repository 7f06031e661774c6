package uring

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/seccomptest"
)

func TestARefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		errno       unix.Errno
		disabled    string
		options     Options
		says        string
		unsupported bool
	}{
		{unix.ENOSYS, "", Options{}, "seccomp", true},
		{unix.EPERM, "2", Options{}, "all processes: set sysctl kernel.io_uring_disabled=0", true},
		{unix.EPERM, "1", Options{}, "unprivileged processes", true},
		{unix.EPERM, "0", Options{}, "Docker", true},
		{unix.ENOMEM, "0", Options{}, "ulimit -l", false},
		{unix.EMFILE, "0", Options{}, "ulimit -n", false},
		{unix.EINVAL, "0", Options{Poller: true}, "CPU that is online", true},
		{unix.EINVAL, "", Options{OneThread: true}, "Linux 6.1", true},
		{unix.EINVAL, "", Options{}, "Linux 6.1", true},
		{unix.EIO, "", Options{}, "cannot set up", false},
	} {
		err := explain(c.errno, c.options, c.disabled)
		require.ErrorContains(t, err, c.says)
		require.ErrorIs(t, err, c.errno)
		require.Equal(t, c.unsupported, errors.Is(err, errors.ErrUnsupported), err)
	}
}

// As containers do: the system call is answered by a filter.
func TestASeccompFilterIsRecognized(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
		err := seccomptest.Refusing(unix.SYS_IO_URING_SETUP, errno, func() error {
			_, err := Setup(Options{Requests: 1, Completions: 2})
			return err
		})
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorIs(t, err, errno)
		require.ErrorContains(t, err, "seccomp")
	}
}

func TestAPollerNeedsACPUThatIsThere(t *testing.T) {
	t.Parallel()
	_, err := Setup(Options{Requests: 1, Completions: 2, Poller: true, PollerCPU: 1 << 20})
	require.ErrorContains(t, err, "CPU that is online")
}
