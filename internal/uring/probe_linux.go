package uring

import (
	"golang.org/x/sys/unix"
)

// Kernel is what this host's io_uring has.
type Kernel struct {
	// Requests and Registrations are how many opcodes there are; those of a kernel
	// without IORING_REGISTER_QUERY (Linux 6.18) are known as far as they are used
	// here.
	Requests, Registrations uint32
	// Queried says that the kernel itself said so.
	Queried bool
}

// Probe asks the kernel. The error is that of Setup.
func Probe() (Kernel, error) {
	if k, errno := query(); errno == 0 {
		return k, nil
	}
	r, err := Setup(Options{Requests: 1, Completions: 2, PollerCPU: -1})
	if err != nil {
		return Kernel{}, err
	}
	defer r.Close()
	return r.probe(), nil
}

// probe asks as one did before there was a query.
func (r *Ring) probe() Kernel {
	k := Kernel{Registrations: registerProbe}
	var p probe
	if requests, errno := probeRequests(r.fd, &p); errno == 0 {
		k.Requests = requests
	}
	// Registrations cannot be listed. One that is there finds fault with what it is
	// asked for, one that is not is EINVAL as well, but only SEND_MSG_RING is
	// accepted without a ring.
	if errno := Message(-1, 0); errno == unix.EBADF {
		k.Registrations = registerSendMsgRing + 1
	}
	return k
}

// Has tells whether there is a request of that opcode.
func (k Kernel) Has(opcode uint8) bool { return uint32(opcode) < k.Requests }

// HasMessage tells whether Message works.
func (k Kernel) HasMessage() bool { return registerSendMsgRing < k.Registrations }
