package uring

import "encoding/binary"

// ReceivedHeader is what lies before the name in a buffer that a multishot recvmsg
// has filled.
const ReceivedHeader = 16

// Received is a datagram in a buffer: a header, then as much room for name and
// control messages as was asked for, then the payload.
type Received struct {
	Name, Control, Payload []byte
	// Flags are those of recvmsg(2): MSG_TRUNC, MSG_CTRUNC.
	Flags uint32
}

// ParseReceived takes apart the first n bytes of a buffer, which a completion says
// were written, with room for name and control as they were asked for. ok is false
// if that is not what a kernel writes.
func ParseReceived(buffer []byte, n, name, control int) (r Received, ok bool) {
	payload := ReceivedHeader + name + control
	if n < payload || n > len(buffer) {
		return Received{}, false
	}
	nameLen := binary.NativeEndian.Uint32(buffer)
	controlLen := binary.NativeEndian.Uint32(buffer[4:])
	return Received{
		Name:    buffer[ReceivedHeader:][:min(uint(nameLen), uint(name))],
		Control: buffer[ReceivedHeader+name:][:min(uint(controlLen), uint(control))],
		Payload: buffer[payload:n:n],
		Flags:   binary.NativeEndian.Uint32(buffer[12:]),
	}, true
}
