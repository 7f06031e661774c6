package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotPermitted says that this process may not make namespaces. The wrapping
// error says what to do; a test skips with it.
var ErrNotPermitted = errors.New("netns: not permitted")

// threadNamespace is the namespace of the thread that opens it.
const threadNamespace = "/proc/thread-self/ns/net"

// Namespace is a network namespace. Its methods may be called by any goroutine.
type Namespace struct{ ref *os.File }

// New makes a namespace with nothing in it but the loopback, which is up.
func New() (*Namespace, error) {
	var n Namespace
	err := onOwnThread(func() (err error) {
		if err := unshare(); err != nil {
			return err
		}
		if n.ref, err = os.Open(threadNamespace); err != nil {
			return fmt.Errorf("netns: cannot refer to the new namespace: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &n, nil
}

// Path is where another process finds the namespace, for Open, as long as this
// one has not closed it.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.ref.Fd()) }

// Open refers to a namespace of another process by its Path.
func Open(path string) (*Namespace, error) {
	ref, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("netns: cannot refer to the namespace of another process: %w", err)
	}
	return &Namespace{ref}, nil
}

// Do runs f inside the namespace, on a thread of its own. Sockets that f opens
// and processes that it starts stay there; goroutines that it starts do not.
func (n *Namespace) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(n.ref.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("netns: cannot enter the namespace: %w", err)
		}
		return f()
	})
}

// Close gives the namespace up. It is gone, with its devices, when the last
// socket and process inside are.
func (n *Namespace) Close() error { return n.ref.Close() }

// isolated marks a process that Isolate has moved, and its children.
const isolated = "PEREGRINE_NETNS_ISOLATED"

// Isolate moves this whole process into a new namespace. It starts the program
// again, with the same arguments and process id, so it is for the first line of
// a TestMain. Where Isolate has done so, and in processes started from there,
// it returns nil at once.
func Isolate() error {
	if os.Getenv(isolated) != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("netns: cannot start this program again: %w", err)
	}
	return onOwnThread(func() error {
		if err := unshare(); err != nil {
			return err
		}
		// exec ends all other threads, and this one is the process from then on.
		err := unix.Exec(self, os.Args, append(os.Environ(), isolated+"=1"))
		return fmt.Errorf("netns: cannot start this program again: %w", err)
	})
}

// unshare puts the calling thread into a new namespace.
func unshare() error {
	err := unix.Unshare(unix.CLONE_NEWNET)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w to make a network namespace: run as root, a container with --privileged", ErrNotPermitted)
	}
	if err != nil {
		return fmt.Errorf("netns: cannot make a network namespace: %w", err)
	}
	return up("lo")
}

// onOwnThread runs f on a thread that ends with it: what f does to the thread
// concerns nobody else.
func onOwnThread(f func() error) error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := errors.New("netns: the function did not return: it may not end its goroutine")
		defer func() { ended <- err }()
		err = f()
	}()
	return <-ended
}

// setSysctl writes a setting below /proc/sys/net of the calling thread's
// namespace: setSysctl("ipv6.conf.veth0.disable_ipv6", "1").
func setSysctl(name, value string) error {
	path := "/proc/sys/net/" + strings.ReplaceAll(name, ".", "/")
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("netns: cannot set net.%s to %s: %w", name, value, err)
	}
	return nil
}
