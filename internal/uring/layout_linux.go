package uring

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// LayOut writes the header of a multishot recvmsg before what a plain one has put into
// a buffer: name, control messages and, from the offset header on, n bytes of payload.
// It returns how much of the buffer counts, as a completion does.
func LayOut(buffer []byte, m *unix.Msghdr, header, n int) int32 {
	binary.NativeEndian.PutUint32(buffer, m.Namelen)
	binary.NativeEndian.PutUint32(buffer[4:], uint32(m.Controllen))
	binary.NativeEndian.PutUint32(buffer[8:], uint32(n))
	binary.NativeEndian.PutUint32(buffer[12:], uint32(m.Flags))
	return int32(header + n)
}
