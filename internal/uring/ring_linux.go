package uring

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Options say what a ring is to be.
type Options struct {
	// Requests and Completions are the sizes of the two rings; the kernel rounds
	// them up to powers of two.
	Requests, Completions uint32
	// OneThread promises that one thread makes all calls from Enable on. The
	// kernel then leaves work to that thread's next call, instead of interrupting
	// it, and tells by [Ring.Pending] that there is some (Linux 6.1).
	OneThread bool
	// Poller has a thread of the kernel take requests, so that submitting takes no
	// system call while it is awake; it sleeps after PollerIdle without any.
	Poller     bool
	PollerIdle time.Duration
	// PollerCPU ties that thread to a CPU, counted from 0; negative does not.
	PollerCPU int
	// Opcodes and Flags are those of the requests that will be allowed once the ring
	// is enabled, and no more can be registered then; without Opcodes the ring is
	// not restricted.
	Opcodes []uint8
	Flags   uint8
}

// Ring is one io_uring.
type Ring struct {
	sq
	cq
	fd      int
	enterFD uintptr // the descriptor, or its place among the registered
	flags   uintptr // of every enter
	setup   uint32  // flags obtained
	rings   []byte  // mapped
	sqes    []byte  // mapped

	// Enters is how many system calls Submit and Wait have made.
	Enters uint64

	wait    getEventsArg
	timeout unix.Timespec
}

// Setup makes a ring, disabled: register with it what it needs, then Enable it.
// What the kernel lacks of the flags that only make a ring faster is left out. An
// error says what to do, and wraps [errors.ErrUnsupported] if this host has no
// io_uring for this process.
func Setup(o Options) (*Ring, error) {
	p := params{cqEntries: o.Completions, flags: setupDisabled | setupCQSize}
	optional := []uint32{setupNoSQArray, setupSubmitAll}
	switch {
	case o.Poller:
		p.flags |= setupSQPoll
		p.sqThreadMS = uint32(max(1, o.PollerIdle.Milliseconds()))
		if o.PollerCPU >= 0 {
			p.flags |= setupSQAffinity
			p.sqThreadCPU = uint32(o.PollerCPU)
		}
	case o.OneThread:
		p.flags |= setupSingleIssuer | setupDeferTaskrun | setupTaskrunFlag
	default:
		optional = append(optional, setupCoopTaskrun)
	}
	for _, flag := range optional {
		p.flags |= flag
	}
	fd, errno := setup(o.Requests, &p)
	for ; errno == unix.EINVAL && len(optional) > 0; optional = optional[1:] {
		p.flags &^= optional[0]
		fd, errno = setup(o.Requests, &p)
	}
	if errno != 0 {
		return nil, refused(errno, o)
	}
	r := &Ring{fd: fd, enterFD: uintptr(fd), setup: p.flags}
	if err := r.use(&p); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// use maps the rings of a new descriptor.
func (r *Ring) use(p *params) error {
	const must = featSingleMmap | featNoDrop | featExtArg
	if p.features&must != must {
		return fmt.Errorf("uring: this kernel's io_uring is too old: Linux 5.11 is the first that will do: %w", errors.ErrUnsupported)
	}
	r.flags = enterGetEvents
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*sizeofCQE)
	var err error
	if r.rings, err = unix.Mmap(r.fd, offSQRing, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("uring: cannot map the rings: %w", err)
	}
	if r.sqes, err = unix.Mmap(r.fd, offSQEs, int(p.sqEntries*sizeofSQE), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("uring: cannot map the requests: %w", err)
	}
	r.sq, r.cq = layOut(p, r.rings, r.sqes)
	return nil
}

// Enable restricts the ring to what Options allow and lets it be used. With
// OneThread the calling thread is the one.
func (r *Ring) Enable(o Options) error {
	if len(o.Opcodes) > 0 {
		if errno := restrict(r.fd, o); errno != 0 {
			return fmt.Errorf("uring: the kernel refuses restrictions (Linux 5.10): %w", errno)
		}
	}
	if _, errno := register(r.fd, registerEnableRings, nil, 0); errno != 0 {
		return fmt.Errorf("uring: cannot enable the ring: %w", errno)
	}
	return nil
}

// OneThread tells whether the kernel leaves work to the thread that enabled it.
func (r *Ring) OneThread() bool { return r.setup&setupDeferTaskrun != 0 }

// FD is the ring's descriptor. It polls as readable while there are completions.
func (r *Ring) FD() int { return r.fd }

// Pending tells whether the kernel waits for an enter: for work that it left to
// this thread, or completions for which there was no room.
func (r *Ring) Pending() bool { return r.raised(sqTaskrun | sqCQOverflow) }

// Submit gives the kernel what was filled in, and takes in what it has, without
// blocking. It makes no system call with nothing to submit and nothing pending, and
// asks for work that was left only if there is some.
// An errno of EINTR, EAGAIN or EBUSY concerns this call only: try again once
// completions were freed.
func (r *Ring) Submit() unix.Errno {
	n := r.flush()
	if r.setup&setupSQPoll != 0 {
		if n == 0 || !r.raised(sqNeedWakeup) {
			return 0
		}
		r.Enters++
		return r.enter(uintptr(n), enterSQWakeup)
	}
	flags := r.flags
	if !r.Pending() {
		if n == 0 {
			return 0
		}
		flags &^= enterGetEvents // what can be done now is
	}
	r.Enters++
	return r.enter(uintptr(n), flags)
}

// Wait submits likewise, and blocks until there is a completion or timeout has
// passed; negative means no timeout.
func (r *Ring) Wait(timeout time.Duration) unix.Errno {
	n := r.flush()
	flags := uintptr(enterGetEvents | enterExtArg)
	if r.setup&setupSQPoll != 0 {
		flags |= enterSQWakeup
	}
	r.wait = getEventsArg{}
	if timeout >= 0 {
		r.timeout = unix.NsecToTimespec(int64(timeout))
		r.wait.timeout = addressOf(&r.timeout)
	}
	r.Enters++
	errno := r.enterBlocking(uintptr(n), flags)
	if errno == unix.ETIME {
		return 0
	}
	return errno
}

// Close unmaps and closes the ring. Requests that are under way are cancelled some
// time later: see CancelAll.
func (r *Ring) Close() error {
	var err error
	for _, mapped := range []*[]byte{&r.rings, &r.sqes} {
		if *mapped != nil {
			err = errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(*mapped)))
			*mapped = nil
		}
	}
	r.sq, r.cq = sq{}, cq{}
	if r.fd >= 0 {
		err = errors.Join(err, os.NewSyscallError("close", unix.Close(r.fd)))
		r.fd = -1
	}
	return err
}
