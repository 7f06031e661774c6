package xdp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// channels is struct ethtool_channels.
type channels struct {
	cmd                                 uint32
	maxRX, maxTX, maxOther, maxCombined uint32
	rx, tx, other, combined             uint32
}

// ifreq is struct ifreq with a pointer.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// getChannels asks for the queues of an interface, through any socket. Both
// structures outlive the call: they are referenced by its argument.
func getChannels(fd int, name string) (channels, unix.Errno) {
	c := channels{cmd: unix.ETHTOOL_GCHANNELS}
	request := ifreq{data: unsafe.Pointer(&c)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	return c, errno
}

// settings is struct ethtool_cmd.
type settings struct {
	cmd, supported, advertising uint32
	speed                       uint16
	_                           [10]byte
	_                           [2]uint32
	speedHigh                   uint16
	_                           [14]byte
}

// getSpeed asks for the speed of an interface, in Mbit/s; 0 if it does not know.
func getSpeed(fd int, name string) uint32 {
	s := settings{cmd: unix.ETHTOOL_GSET}
	request := ifreq{data: unsafe.Pointer(&s)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	const unknown = 1<<32 - 1
	if speed := uint32(s.speedHigh)<<16 | uint32(s.speed); errno == 0 && speed != unknown {
		return speed
	}
	return 0
}

// rxfh is the front of struct ethtool_rxfh. The table follows, then the key.
type rxfh struct {
	cmd, context, tableSize, keySize uint32
	function, transform              uint8
	_                                [2]byte
	_                                uint32
	config                           [1<<12 + 64]uint32
}

// getRSS asks for the hash by which an interface spreads packets over its queues.
func getRSS(fd int, name string) (*rxfh, unix.Errno) {
	r := &rxfh{cmd: unix.ETHTOOL_GRSSH}
	request := ifreq{data: unsafe.Pointer(r)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return nil, errno
	}
	if uint64(r.tableSize)*4+uint64(r.keySize) > uint64(len(r.config))*4 {
		return nil, unix.E2BIG
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	return r, errno
}

// key is the key as bytes, of which keySize are valid behind the table.
func (r *rxfh) key() []byte {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&r.config[0])), len(r.config)*4)
	return append([]byte{}, b[r.tableSize*4:][:r.keySize]...)
}
