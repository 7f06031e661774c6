package xsk

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Every pointer that is handed to the kernel here leads to a variable that
// outlives the call. What the kernel keeps, the UMEM's address, leads to mapped
// memory, which the kernel holds too: an early unmapping harms only ourselves.
//
// Calls of the hot path go by RawSyscall6: through Syscall6 the runtime would take
// the P of a polling loop away now and then. They do not block.

func register(fd int, u *Umem) unix.Errno {
	reg := unix.XDPUmemReg{
		Addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(u.bytes)))),
		Len:  uint64(len(u.bytes)),
		Size: uint32(u.frameSize),
	}
	if reg.Flags = u.flags; reg.Flags != 0 {
		reg.Tx_metadata_len = Metadata
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&reg)), unsafe.Sizeof(reg), 0)
	return errno
}

func mmapOffsets(fd int) (offsets unix.XDPMmapOffsets, errno unix.Errno) {
	size := uint32(unsafe.Sizeof(offsets))
	_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS,
		uintptr(unsafe.Pointer(&offsets)), uintptr(unsafe.Pointer(&size)), 0)
	return offsets, errno
}

func statistics(fd int) (stats unix.XDPStatistics, errno unix.Errno) {
	size := uint32(unsafe.Sizeof(stats))
	_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_STATISTICS,
		uintptr(unsafe.Pointer(&stats)), uintptr(unsafe.Pointer(&size)), 0)
	return stats, errno
}

// layOut views a mapped ring as the kernel has laid it out. The views hold no
// reference: they are dropped when the memory is unmapped.
func layOut[E uint64 | Desc](memory []byte, off unix.XDPRingOffset, entries int) ring[E] {
	word := func(at uint64) *uint32 { return (*uint32)(unsafe.Pointer(&memory[at])) }
	return ring[E]{
		producer: word(off.Producer),
		consumer: word(off.Consumer),
		flags:    word(off.Flags),
		entries:  unsafe.Slice((*E)(unsafe.Pointer(&memory[off.Desc])), entries),
		mask:     uint32(entries - 1),
	}
}

// Address is where in the UMEM memory lies that Bytes returned, or the front of it.
func (u *Umem) Address(b []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(u.bytes))))
}

func sizeOf[E uint64 | Desc]() int {
	var e E
	return int(unsafe.Sizeof(e))
}

// Kick has the kernel look at the TX ring, and in copy mode send from it. The
// errnos that are no failure:
//
//	EAGAIN   more than fits one call; or there is no room for completions, or no
//	         send buffer: try again, the latter two after completions were taken
//	EBUSY    one frame was dropped by the device, and is completed
//	ENOBUFS  no memory: later
//	ENETDOWN the device is down: later
//
// ENXIO says that the device is gone.
func (s *Socket) Kick() unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// Nudge has the kernel look at the fill ring.
func (s *Socket) Nudge() unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}
