package udpsock

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// meminfo is the socket's SO_MEMINFO, indexed by the kernel's SK_MEMINFO values.
// Its pointers are in the argument list itself, so that the collector sees them
// for as long as the call lasts; the kernel keeps none.
func meminfo(fd int) (info [9]uint32, errno unix.Errno) {
	size := uint32(unsafe.Sizeof(info))
	_, _, errno = unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info, errno
}

// recvError reads from the error queue into what m points to, which the socket
// holds in typed fields.
func recvError(fd int, m *unix.Msghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(m)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0, 0)
	return int(n), errno
}

// Receive takes what has arrived into messages from the front, and returns how many
// it filled. It does not block, and goes by RawSyscall6: through Syscall6 the runtime
// would take the P of a polling loop away now and then. What the messages point to
// is of the Go heap, which does not move, and held by the caller in typed fields.
func Receive(fd int, m []unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// msgProbe is MSG_PROBE, which the libraries lack.
const msgProbe = 0x10

// probe lets the kernel look up the way to d as for a datagram, and sends none: of
// a route with a source this is how to learn whether it has that address, in the
// socket's own network namespace. What the header points to is on this stack or
// the caller's, which the argument list keeps alive.
func probe(fd int, d *Dest) unix.Errno {
	h := unix.Msghdr{Name: d.Name.Ptr(), Namelen: d.Name.Len()}
	if d.fixed > 0 {
		h.Control = &d.source[0]
		h.SetControllen(int(d.fixed))
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), unix.MSG_CONFIRM|msgProbe, 0, 0, 0)
	runtime.KeepAlive(d)
	return errno
}

// Ptr views the address as the bytes that a Msghdr's Name points to.
func (a *Sockaddr) Ptr() *byte { return (*byte)(unsafe.Pointer(a)) }

// ParseSockaddr copies an address as the kernel wrote it; what is missing of it is
// zero.
func ParseSockaddr(name []byte) (a Sockaddr) {
	copy(unsafe.Slice(a.Ptr(), unsafe.Sizeof(a)), name)
	return a
}
