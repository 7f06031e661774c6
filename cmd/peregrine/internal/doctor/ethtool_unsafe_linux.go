package doctor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// What of ethtool's ioctl the library leaves out. Each structure outlives the
// call: it is referenced by its argument, which stays on this stack.

// ifreq is struct ifreq with a pointer.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

func ask(fd int, name string, data unsafe.Pointer) unix.Errno {
	request := ifreq{data: data}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	return errno
}

// rxnfc is the front of struct ethtool_rxnfc, which the kernel writes back in the
// size that it was asked with in older kernels, and whole in later ones.
type rxnfc struct {
	cmd, flow uint32
	data      uint64
	_         [256]byte
}

// getFlowHash asks what of an IPv4 datagram is hashed.
func getFlowHash(fd int, name string) (uint64, unix.Errno) {
	const udp4 = 2 // UDP_V4_FLOW
	r := &rxnfc{cmd: unix.ETHTOOL_GRXFH, flow: udp4}
	errno := ask(fd, name, unsafe.Pointer(r))
	return r.data, errno
}
