package uring

// The kernel's numbers, from include/uapi/linux/io_uring.h, as far as they are
// used here.

// Opcodes of requests.
const (
	OpNop         = 0
	OpPollAdd     = 6
	OpSendMsg     = 9
	OpRecvMsg     = 10
	OpAsyncCancel = 14
	OpSend        = 26
	OpMsgRing     = 40 // Linux 5.18
	OpSendMsgZC   = 48 // Linux 6.1
)

// Flags of a request.
const (
	FixedFile    = 1 << 0 // FD is an index into the registered files
	BufferSelect = 1 << 5 // the kernel takes a buffer of BufGroup
	SkipSuccess  = 1 << 6 // no completion on success
)

// Priority bits of send and receive requests.
const (
	PollFirst     = 1 << 0 // do not try before the socket polls as ready
	RecvMultishot = 1 << 1
	ReportUsage   = 1 << 3 // a zero-copy notification says whether it was
)

// Copied is set in the result of a zero-copy notification whose request had
// ReportUsage if the kernel copied after all.
const Copied = 1 << 31

// Flags of a completion.
const (
	CQEBuffer = 1 << 0 // the upper 16 bits of Flags are a buffer's number
	CQEMore   = 1 << 1 // more completions of this request follow
	CQENotif  = 1 << 3 // zero-copy memory is free again
)

// Flags of cancel requests.
const (
	CancelAll = 1 << 0
	CancelAny = 1 << 2
)

const (
	offSQRing = 0
	offSQEs   = 0x10000000

	setupSQPoll       = 1 << 1
	setupSQAffinity   = 1 << 2
	setupCQSize       = 1 << 3
	setupDisabled     = 1 << 6
	setupSubmitAll    = 1 << 7  // Linux 5.18
	setupCoopTaskrun  = 1 << 8  // 5.19
	setupTaskrunFlag  = 1 << 9  // 5.19
	setupSingleIssuer = 1 << 12 // 6.0
	setupDeferTaskrun = 1 << 13 // 6.1
	setupNoSQArray    = 1 << 16 // 6.6

	featSingleMmap = 1 << 0
	featNoDrop     = 1 << 1
	featExtArg     = 1 << 8

	enterGetEvents  = 1 << 0
	enterSQWakeup   = 1 << 1
	enterExtArg     = 1 << 3
	enterRegistered = 1 << 4

	sqNeedWakeup = 1 << 0
	sqCQOverflow = 1 << 1
	sqTaskrun    = 1 << 2

	registerFiles        = 2
	unregisterFiles      = 3
	registerProbe        = 8
	registerRestrictions = 11
	registerEnableRings  = 12
	registerRingFDs      = 20
	unregisterRingFDs    = 21
	registerPbufRing     = 22 // 5.19
	registerSyncCancel   = 24 // 6.0
	registerNAPI         = 27 // 6.9
	registerSendMsgRing  = 31 // 6.13
	registerQuery        = 35 // 6.18

	useRegisteredRing = 1 << 31 // 6.3

	restrictRegisterOp   = 0
	restrictSQEOp        = 1
	restrictFlagsAllowed = 2
)

// SQE is a request (struct io_uring_sqe). Its fields mean what the opcode makes
// of them.
type SQE struct {
	Opcode   uint8
	Flags    uint8
	Priority uint16
	FD       int32
	Off      uint64 // or a second address
	Addr     uint64
	Len      uint32
	OpFlags  uint32 // of the message, the poll, the cancellation
	UserData uint64 // comes back in the completion
	BufGroup uint16 // or index of a registered buffer
	_        uint16
	Index    uint32 // of a file, or the second address's length in the first half
	Addr3    uint64
	_        uint64
}

// CQE is a completion (struct io_uring_cqe).
type CQE struct {
	UserData uint64
	Result   int32 // negative: an errno
	Flags    uint32
}

// Buffer is the number of the buffer that a completion with CQEBuffer names.
func (c *CQE) Buffer() uint16 { return uint16(c.Flags >> 16) }

type sqOffsets struct {
	head, tail, mask, entries, flags, dropped, array, _ uint32
	_                                                   uint64
}

type cqOffsets struct {
	head, tail, mask, entries, overflow, cqes, flags, _ uint32
	_                                                   uint64
}

type params struct {
	sqEntries, cqEntries    uint32
	flags                   uint32
	sqThreadCPU, sqThreadMS uint32
	features                uint32
	_                       [4]uint32
	sq                      sqOffsets
	cq                      cqOffsets
}

type getEventsArg struct {
	sigmask     uint64
	sigmaskSize uint32
	minWait     uint32
	timeout     uint64 // address of a timespec
}

type restriction struct {
	kind  uint16
	value uint8
	_     uint8
	_     [3]uint32
}

type bufferReg struct {
	addr    uint64
	entries uint32
	group   uint16
	_       uint16
	_       [3]uint64
}

// bufferEntry is one place of a buffer ring (struct io_uring_buf). The ring's
// tail lies in the last two bytes of the first one.
type bufferEntry struct {
	addr uint64
	len  uint32
	last uint32 // the buffer's number and, in the first entry, the tail
}

type fdUpdate struct {
	offset uint32
	_      uint32
	data   uint64
}

type napi struct {
	busyPollUS uint32
	prefer     uint8
	_          [3]uint8
	_          uint64
}

type queryHeader struct {
	next   uint64
	data   uint64
	op     uint32
	size   uint32
	result int32
	_      [3]uint32
}

type queryOpcodes struct {
	requests, registers uint32
	features            uint64
	setup               uint64
	enter               uint64
	sqe                 uint64
	queries, _          uint32
}

type probeOp struct {
	op    uint8
	_     uint8
	flags uint16
	_     uint32
}

type probe struct {
	last, count uint8
	_           uint16
	_           [3]uint32
	ops         [64]probeOp
}
