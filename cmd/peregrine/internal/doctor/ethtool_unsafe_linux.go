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

// rxfh is the front of struct ethtool_rxfh. The table follows, then the key.
type rxfh struct {
	cmd, context, tableSize, keySize uint32
	function, transform              uint8
	_                                [2]byte
	_                                uint32
	config                           [1<<12 + 64]uint32
}

// getRSS asks first for the sizes, and then for table and key.
func getRSS(fd int, name string) (*rxfh, unix.Errno) {
	r := &rxfh{cmd: unix.ETHTOOL_GRSSH}
	if errno := ask(fd, name, unsafe.Pointer(r)); errno != 0 {
		return nil, errno
	}
	if uint64(r.tableSize)*4+uint64(r.keySize) > uint64(len(r.config))*4 {
		return nil, unix.E2BIG
	}
	errno := ask(fd, name, unsafe.Pointer(r))
	return r, errno
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
