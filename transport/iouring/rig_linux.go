package iouring

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/internal/uring"
)

// mode is who does the kernel's part of the work, and when.
type mode int

const (
	// anyThread: all within the owner's calls, whichever thread makes them. Nothing
	// is ever left to be done later, by a thread that may be busy or gone.
	anyThread mode = iota
	// oneThread: the kernel notes what there is to do, and the owner's one thread
	// does it with its next call.
	oneThread
	// poller: a thread of the kernel does it.
	poller
)

// rig is a ring, and a ring of buffers, set up for one socket.
type rig struct {
	mode    mode
	ring    *uring.Ring
	buffers *uring.Buffers
	// messages says that a completion can be sent to the ring by anyone.
	messages bool
	listens  bool // a request watches the waiter's bell
	tid      int  // the one thread
	note     string
}

const (
	requests    = 256
	completions = 1024
	group       = 0 // of buffers

	pollerIdle = 10 * time.Millisecond
)

// newRig sets one up. In the mode oneThread, the calling thread is the one.
func newRig(m mode, cfg Config, sock *udpsock.Socket, rx *receiver) (_ rig, err error) {
	kernel, err := uring.Probe()
	if err != nil {
		return rig{}, err
	}
	if !kernel.Has(uring.OpSendMsgZC) {
		return rig{}, fmt.Errorf("this kernel's io_uring is too old: use Linux 6.1 or later: %w", errors.ErrUnsupported)
	}
	options := uring.Options{
		Requests:    requests,
		Completions: completions,
		OneThread:   m == oneThread,
		Poller:      m == poller,
		PollerIdle:  pollerIdle,
		PollerCPU:   cfg.SQPollCPU,
		Opcodes:     []uint8{uring.OpRecvMsg, uring.OpSendMsg, uring.OpSend, uring.OpSendMsgZC, uring.OpPollAdd},
		Flags:       uring.FixedFile | uring.BufferSelect,
	}
	g := rig{mode: m, messages: kernel.HasMessage()}
	if g.ring, err = uring.Setup(options); err != nil {
		return rig{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if err := g.ring.RegisterFile(sock.FD); err != nil {
		return rig{}, err
	}
	if g.buffers, err = g.ring.NewBuffers(group, rxProvided); err != nil {
		return rig{}, err
	}
	if cfg.BusyPoll > 0 {
		if err := g.ring.RegisterBusyPoll(cfg.BusyPoll); err != nil {
			g.note = fmt.Sprintf("busy_poll=%v was not obtained: %v", cfg.BusyPoll, err)
		}
	}
	if err := g.ring.Enable(options); err != nil {
		return rig{}, err
	}
	if m == oneThread {
		g.tid = unix.Gettid()
		// It spares a look-up; without it all works the same.
		_ = g.ring.RegisterSelf()
	}
	rx.restart()
	return g, nil
}

// async says that requests may be under way between calls.
func (g *rig) async() bool { return g.mode != anyThread }

// close gives back what the rig has.
func (g *rig) close() error {
	err := g.ring.Close()
	if g.buffers != nil {
		err = errors.Join(err, g.buffers.Close())
	}
	return err
}
