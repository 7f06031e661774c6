package uring

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// RegisterFile makes fd the registered file 0, which requests with FixedFile name.
// The ring holds the file open until UnregisterFile, or until the kernel has taken
// the closed ring apart, some 50 ms later.
func (r *Ring) RegisterFile(fd int) error {
	if errno := registerFD(r.fd, fd); errno != 0 {
		return fmt.Errorf("uring: cannot register a file: %w", errno)
	}
	return nil
}

// UnregisterFile gives back the file once no request uses it.
func (r *Ring) UnregisterFile() error {
	if _, errno := register(r.fd, unregisterFiles, nil, 0); errno != 0 {
		return fmt.Errorf("uring: cannot unregister a file: %w", errno)
	}
	return nil
}

// RegisterBusyPoll has Wait look into network devices' queues for that long before
// it sleeps (Linux 6.9). Devices without NAPI, such as veth and the loopback, are
// not affected.
func (r *Ring) RegisterBusyPoll(d time.Duration) error {
	if errno := registerBusyPoll(r.fd, d); errno != 0 {
		return fmt.Errorf("uring: this kernel refuses busy polling of network devices (Linux 6.9): %w", errno)
	}
	return nil
}

// RegisterSelf spares enter the look-up of the descriptor, for the calling thread
// only. While it is registered the ring stays, whoever closes it.
func (r *Ring) RegisterSelf() error {
	index, errno := registerRing(r.fd)
	if errno != 0 {
		return fmt.Errorf("uring: the kernel refuses to register the ring with its thread (Linux 6.3): %w", errno)
	}
	r.enterFD = uintptr(index)
	r.flags |= enterRegistered
	return nil
}

// UnregisterSelf ends what RegisterSelf began, on the same thread, also after Close
// (Linux 6.3).
func (r *Ring) UnregisterSelf() error {
	if r.flags&enterRegistered == 0 {
		return nil
	}
	errno := unregisterRing(uint32(r.enterFD))
	if errno != 0 {
		return fmt.Errorf("uring: the ring is not registered with this thread: %w", errno)
	}
	r.enterFD = uintptr(r.fd)
	r.flags &^= enterRegistered
	return nil
}

// NewBuffers makes a ring of places buffers, a power of two up to 32,768, and
// registers it as a group.
func (r *Ring) NewBuffers(group uint16, places int) (*Buffers, error) {
	memory, err := unix.Mmap(-1, 0, max(places*sizeofBuffer, os.Getpagesize()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("uring: no memory for a ring of %d buffers: %w", places, err)
	}
	// A child of a fork that does not execute would otherwise share the pages, and
	// the next write here would move us away from what the kernel sees.
	_ = unix.Madvise(memory, unix.MADV_DONTFORK) // advice
	b := &Buffers{entries: bufferEntries(memory, places), mask: uint32(places - 1), memory: memory}
	if errno := registerBuffers(r.fd, b.memory, places, group); errno != 0 {
		err := fmt.Errorf("uring: the kernel refuses a ring of %d buffers (Linux 5.19): %w", places, errno)
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Close gives back the memory of the ring of buffers, after that of the requests.
func (b *Buffers) Close() error {
	if b.memory == nil {
		return nil
	}
	err := os.NewSyscallError("munmap", unix.Munmap(b.memory))
	b.memory, b.entries = nil, nil
	return err
}

// CancelAll cancels all requests and waits until none is under way, at most for
// timeout. Their completions, with ECANCELED or what they came to, are in the
// completion ring, as far as it has room. The owner calls it.
func (r *Ring) CancelAll(timeout time.Duration) unix.Errno {
	return cancelAll(r.fd, timeout)
}

// Message posts a completion with that data to the ring of descriptor fd, on which
// Wait returns (Linux 6.13). Any goroutine may call it.
func Message(fd int, data uint64) unix.Errno {
	return sendMessage(&SQE{Opcode: OpMsgRing, FD: int32(fd), Off: data})
}
