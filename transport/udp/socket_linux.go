package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/arena"
	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/internal/waiter"
	"github.com/peregrine-rpc/peregrine/transport"
)

func open(cfg Config, queue, queues int) (transport.Transport, error) {
	return openSocket(cfg, queue, queues)
}

// socket is a queue on the kernel's batch calls.
type socket struct {
	sock   *udpsock.Socket
	memory *arena.Arena // of heads, then of receive buffers

	heads udpsock.Heads
	tx    sender
	rx    receiver

	stats  udpsock.Counters
	waiter *waiter.Waiter
	closed atomic.Bool
}

func openSocket(cfg Config, queue, queues int) (*socket, error) {
	sock, err := udpsock.Open(name, udpsock.Settings(cfg), queue, queues)
	if err != nil {
		return nil, err
	}
	s := &socket{sock: sock}
	if s.waiter, err = waiter.New(); err != nil {
		_ = sock.Close() // the error that led here says more
		return nil, fmt.Errorf("udp: %w", err)
	}
	sock.ReportErrors()
	c := &sock.Caps
	c.RxBatch, c.TxBatch, c.RxBuffers = 64, 64, rxBuffers
	heads := udpsock.HeadsSize(txBuffers, c.MaxPayload)
	if s.memory, err = arena.New(heads + rxMemory(*c)); err != nil {
		return nil, errors.Join(fmt.Errorf("udp: no memory for buffers: %w", err), s.waiter.Close(), sock.Close())
	}
	memory := s.memory.Bytes()
	s.heads = udpsock.NewHeads(txBuffers, c.MaxPayload, memory[:heads])
	s.tx.init(*c)
	s.rx.init(*c, memory[heads:])
	return s, nil
}

func (s *socket) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	if s.closed.Load() {
		return 0, errClosed
	}
	return s.sock.Resolve(addr, source)
}

func (s *socket) Forget(r transport.Route) { s.sock.Forget(r) }

func (s *socket) Reserve(pkts []transport.TxPacket) int {
	if s.closed.Load() {
		return 0
	}
	return s.heads.Reserve(pkts)
}

func (s *socket) Completed() uint64 { return s.tx.taken }

func (s *socket) Wait(timeout time.Duration) error {
	// With no buffer free an arrived datagram is no reason to return.
	var events int16
	if s.rx.armed() {
		events |= unix.POLLIN
	}
	if s.tx.full {
		events |= unix.POLLOUT
	}
	if s.rx.pending() || s.sock.Reports() {
		timeout = 0
	}
	err := s.waiter.Wait(s.sock.FD, events, timeout)
	if err == waiter.ErrExpelled {
		return errClosed
	}
	if s.waiter.Ready(unix.POLLERR) {
		s.sock.DrainErrors() // or the next Wait would return at once
	}
	if s.waiter.Ready(unix.POLLOUT) {
		s.tx.full = false // said once: an owner with nothing to send may sleep
	}
	return err
}

// Descriptor implements [transport.Pollable].
func (s *socket) Descriptor() int { return s.sock.FD }

// NextUnreachable implements [transport.UnreachableReporter].
func (s *socket) NextUnreachable() (transport.Unreachable, bool) { return s.sock.NextUnreachable() }

func (s *socket) Wake() { s.waiter.Wake() }

func (s *socket) LocalAddr() netip.AddrPort { return s.sock.Local }

func (s *socket) Caps() transport.Caps { return s.sock.Caps }

func (s *socket) Stats() transport.Stats {
	st := s.stats.Snapshot()
	st.RxOverflow = s.sock.Overflows()
	return st
}

func (s *socket) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.waiter.Expel()
	s.memory.Free()
	return errors.Join(s.sock.Close(), s.waiter.Close())
}
