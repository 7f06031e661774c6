package udpsock

import (
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

// Ptr views the address as the bytes that a Msghdr's Name points to.
func (a *Sockaddr) Ptr() *byte { return (*byte)(unsafe.Pointer(a)) }
