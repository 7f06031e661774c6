package uring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests hold addresses as numbers, which the collector does not see: whoever
// prepares one keeps m, and what it points at, referenced until the request has
// completed; m is of the heap.

// SendMsg makes e send m by sendmsg(2) with those flags.
func (e *SQE) SendMsg(m *unix.Msghdr, flags uint32) {
	e.Opcode = OpSendMsg
	e.Addr, e.Len, e.OpFlags = uint64(uintptr(unsafe.Pointer(m))), 1, flags
}

// SendTo makes e send what iov points at to an address by sendto(2) with those flags:
// all that SendMsg does for a message of one part without control messages. iov itself
// is not read later.
func (e *SQE) SendTo(iov *unix.Iovec, name *byte, length uint32, flags uint32) {
	e.Opcode = OpSend
	e.Addr, e.Len, e.OpFlags = uint64(uintptr(unsafe.Pointer(iov.Base))), uint32(iov.Len), flags
	e.Off, e.Index = uint64(uintptr(unsafe.Pointer(name))), beside(uint16(length), 0)
}

// RecvMsg makes e receive a datagram by recvmsg(2) with those flags.
func (e *SQE) RecvMsg(m *unix.Msghdr, flags uint32) {
	e.Opcode = OpRecvMsg
	e.Addr, e.Len, e.OpFlags = uint64(uintptr(unsafe.Pointer(m))), 1, flags
}

// SendMsgZC makes e send m without copying what its iovecs point at, which stays
// with the kernel until the second completion, with CQENotif; that says by Copied
// whether the kernel copied. A failure has both completions too.
func (e *SQE) SendMsgZC(m *unix.Msghdr, flags uint32) {
	e.SendMsg(m, flags)
	e.Opcode, e.Priority = OpSendMsgZC, ReportUsage
}

// RecvMultishot makes e receive datagrams, each into a buffer of the group, laid
// out as [Received] says, until a completion without CQEMore. Of m only Namelen
// and the length of Control count. With MSG_DONTWAIT it ends with EAGAIN when the
// socket is empty.
func (e *SQE) RecvMultishot(m *unix.Msghdr, group uint16, flags uint32) {
	e.Opcode, e.Flags, e.Priority = OpRecvMsg, BufferSelect, RecvMultishot
	e.Addr, e.Len, e.OpFlags = uint64(uintptr(unsafe.Pointer(m))), 1, flags
	e.BufGroup = group
}

// Poll makes e complete when one of the events is there.
func (e *SQE) Poll(events uint32) {
	// The kernel has the halves of the word in this order on all machines.
	e.Opcode, e.OpFlags = OpPollAdd, beside(uint16(events), uint16(events>>16))
}

// AddressOf is where the kernel finds memory, for Add. The caller keeps it
// referenced; it is of the heap or mapped.
func AddressOf(memory []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
}
