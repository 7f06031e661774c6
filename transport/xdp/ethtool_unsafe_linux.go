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
