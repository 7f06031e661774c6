package netdev

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// RSS is how an interface spreads packets over its queues.
type RSS struct {
	Function  uint8 // 1: Toeplitz
	Transform uint8 // of what is hashed; 0: none
	Key       []byte
	Table     []uint32 // the queue for each of the hash's low values
}

// rxfh is the front of struct ethtool_rxfh. The table follows, then the key.
type rxfh struct {
	cmd, context, tableSize, keySize uint32
	function, transform              uint8
	_                                [2]byte
	_                                uint32
	config                           [1<<12 + 64]uint32
}

// fits says whether table and key are within config.
func (r *rxfh) fits() bool {
	return uint64(r.tableSize)*4+uint64(r.keySize) <= uint64(len(r.config))*4
}

// ReadRSS asks through any socket how an interface spreads packets over its queues:
// first for the sizes, and then for table and key.
func ReadRSS(fd int, name string) (RSS, error) {
	r := &rxfh{cmd: unix.ETHTOOL_GRSSH}
	for range 2 {
		if errno := ethtool(fd, name, unsafe.Pointer(r)); errno != 0 {
			return RSS{}, errno
		}
		if !r.fits() {
			return RSS{}, unix.E2BIG
		}
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&r.config[0])), len(r.config)*4)
	return RSS{
		Function: r.function, Transform: r.transform, Table: append([]uint32{}, r.config[:r.tableSize]...),
		Key: append([]byte{}, bytes[r.tableSize*4:][:r.keySize]...),
	}, nil
}

// ethtool is the ioctl with a structure of its own, which outlives the call: it is
// referenced by the argument, which stays on this stack.
func ethtool(fd int, name string, data unsafe.Pointer) unix.Errno {
	request := struct { // struct ifreq with a pointer
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: data}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	return errno
}
