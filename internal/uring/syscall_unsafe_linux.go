package uring

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Every pointer that is handed to the kernel here leads to memory that outlives
// the call: of the Go heap, which does not move, held by the argument list; or
// mapped; or global. What requests point at is the caller's concern.
//
// Calls that do not block go by RawSyscall6: through Syscall6 the runtime would
// take the P of a polling loop away now and then. Those that do block must tell
// the runtime, which would otherwise interrupt them by its preemption signal.

const (
	sizeofSQE    = uint32(unsafe.Sizeof(SQE{}))
	sizeofCQE    = uint32(unsafe.Sizeof(CQE{}))
	sizeofBuffer = int(unsafe.Sizeof(bufferEntry{}))
)

func setup(entries uint32, p *params) (int, unix.Errno) {
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
	return int(fd), errno
}

func register(fd int, op uint32, arg unsafe.Pointer, n int) (int, unix.Errno) {
	got, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(fd), uintptr(op), uintptr(arg), uintptr(n), 0, 0)
	return int(got), errno
}

func (r *Ring) enter(submit, flags uintptr) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, r.enterFD, submit, 0, flags|r.flags&enterRegistered, 0, 0)
	return errno
}

// enterBlocking waits for one completion.
func (r *Ring) enterBlocking(submit, flags uintptr) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, r.enterFD, submit, 1, flags|r.flags&enterRegistered,
		uintptr(unsafe.Pointer(&r.wait)), unsafe.Sizeof(r.wait))
	return errno
}

// addressOf is where the kernel finds a timeout; r.wait is of the heap, and so is
// what it points at by a number.
func addressOf(t *unix.Timespec) uint64 { return uint64(uintptr(unsafe.Pointer(t))) }

// layOut views the mapped rings as the kernel has laid them out. The views hold no
// reference: they are dropped before the memory is unmapped.
func layOut(p *params, rings, sqes []byte) (sq, cq) {
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&rings[off])) }
	s := sq{
		head:    word(p.sq.head),
		tail:    word(p.sq.tail),
		flags:   word(p.sq.flags),
		entries: unsafe.Slice((*SQE)(unsafe.Pointer(&sqes[0])), p.sqEntries),
		mask:    *word(p.sq.mask),
	}
	if p.flags&setupNoSQArray == 0 {
		s.array = unsafe.Slice(word(p.sq.array), p.sqEntries)
	}
	c := cq{
		head:     word(p.cq.head),
		tail:     word(p.cq.tail),
		overflow: word(p.cq.overflow),
		entries:  unsafe.Slice((*CQE)(unsafe.Pointer(&rings[p.cq.cqes])), p.cqEntries),
		mask:     *word(p.cq.mask),
	}
	return s, c
}

func bufferEntries(memory []byte, places int) []bufferEntry {
	return unsafe.Slice((*bufferEntry)(unsafe.Pointer(&memory[0])), places)
}

func registerBuffers(fd int, memory []byte, places int, group uint16) unix.Errno {
	reg := bufferReg{addr: uint64(uintptr(unsafe.Pointer(&memory[0]))), entries: uint32(places), group: group}
	_, errno := register(fd, registerPbufRing, unsafe.Pointer(&reg), 1)
	return errno
}

func registerFD(ring, fd int) unix.Errno {
	file := int32(fd)
	_, errno := register(ring, registerFiles, unsafe.Pointer(&file), 1)
	return errno
}

func registerRing(fd int) (uint32, unix.Errno) {
	u := fdUpdate{offset: ^uint32(0), data: uint64(fd)}
	_, errno := register(fd, registerRingFDs, unsafe.Pointer(&u), 1)
	return u.offset, errno
}

// unregisterRing works on the registered ring itself: its descriptor may be closed.
func unregisterRing(index uint32) unix.Errno {
	u := fdUpdate{offset: index}
	_, errno := register(int(index), unregisterRingFDs|useRegisteredRing, unsafe.Pointer(&u), 1)
	return errno
}

func registerBusyPoll(fd int, d time.Duration) unix.Errno {
	n := napi{busyPollUS: uint32(d.Microseconds())}
	_, errno := register(fd, registerNAPI, unsafe.Pointer(&n), 1)
	return errno
}

func restrict(fd int, o Options) unix.Errno {
	all := []restriction{{kind: restrictFlagsAllowed, value: o.Flags}}
	for _, op := range o.Opcodes {
		all = append(all, restriction{kind: restrictSQEOp, value: op})
	}
	for _, op := range mayRegister {
		all = append(all, restriction{kind: restrictRegisterOp, value: op})
	}
	_, errno := register(fd, registerRestrictions, unsafe.Pointer(&all[0]), len(all))
	return errno
}

// mayRegister is what an enabled ring is still good for: its end, and its thread.
var mayRegister = [...]uint8{registerEnableRings, registerSyncCancel, unregisterFiles, registerRingFDs, unregisterRingFDs}

// syncCancel is struct io_uring_sync_cancel_reg.
type syncCancel struct {
	addr    uint64
	fd      int32
	flags   uint32
	timeout [2]int64 // a 64-bit timespec; -1, -1: none
	opcode  uint8
	_       [7]uint8
	_       [3]uint64
}

func cancelAll(fd int, timeout time.Duration) unix.Errno {
	c := syncCancel{flags: CancelAny | CancelAll, timeout: [2]int64{int64(timeout / time.Second), int64(timeout % time.Second)}}
	_, errno := register(fd, registerSyncCancel, unsafe.Pointer(&c), 1)
	if errno == unix.ENOENT {
		return 0 // nothing was under way
	}
	return errno
}

func sendMessage(e *SQE) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_REGISTER, ^uintptr(0), registerSendMsgRing, uintptr(unsafe.Pointer(e)), 1, 0, 0)
	return errno
}

// query asks once; the kernel stays the same. What it writes to is a global, since
// it is told the address by a number.
var query = sync.OnceValues(func() (Kernel, unix.Errno) {
	h := queryHeader{data: uint64(uintptr(unsafe.Pointer(&queried))), size: uint32(unsafe.Sizeof(queried))}
	_, errno := register(-1, registerQuery, unsafe.Pointer(&h), 0)
	if errno == 0 && h.result < 0 {
		errno = unix.Errno(-h.result)
	}
	return Kernel{Requests: queried.requests, Registrations: queried.registers, Queried: true}, errno
})

var queried queryOpcodes

func probeRequests(fd int, p *probe) (uint32, unix.Errno) {
	_, errno := register(fd, registerProbe, unsafe.Pointer(p), len(p.ops))
	return uint32(p.last) + 1, errno
}
