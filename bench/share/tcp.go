package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// algorithms are those of the kernel that are compared with, of those it has.
func algorithms() ([]string, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range []string{"cubic", "reno", "bbr"} {
		for have := range strings.FieldsSeq(string(text)) {
			if name == have {
				found = append(found, name)
			}
		}
	}
	return found, nil
}

// streams are TCP connections that send as much as they can.
type streams struct {
	listener net.Listener
	senders  []net.Conn
	received []*atomic.Int64
	sinks    []net.Conn
	running  sync.WaitGroup
}

// stream starts so many, from the client to a port of the server, under an
// algorithm.
func (n *network) stream(ctx context.Context, algorithm string, count, port int) (_ *streams, err error) {
	s := &streams{}
	addr := netip.AddrPortFrom(netip.MustParseAddr(serverAddress), uint16(port)).String()
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	listen := net.ListenConfig{}
	listen.SetMultipathTCP(false)
	err = n.server.Do(func() (err error) {
		s.listener, err = listen.Listen(ctx, "tcp4", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, algorithm)
		})
		return errors.Join(err, failed)
	}}
	dialer.SetMultipathTCP(false)
	for range count {
		var sender net.Conn
		err = n.client.Do(func() (err error) {
			sender, err = dialer.DialContext(ctx, "tcp4", addr)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("TCP with %s: %w", algorithm, err)
		}
		s.senders = append(s.senders, sender)
		sink, err := s.listener.Accept()
		if err != nil {
			return nil, err
		}
		s.sinks = append(s.sinks, sink)
		bytes := new(atomic.Int64)
		s.received = append(s.received, bytes)
		s.running.Go(func() { // until it is closed
			zeros := make([]byte, 64<<10)
			for err := error(nil); err == nil; {
				_, err = sender.Write(zeros)
			}
		})
		s.running.Go(func() { _, _ = io.Copy(io.Discard, counted{sink, bytes}) })
	}
	return s, nil
}

// counted counts what is read.
type counted struct {
	io.Reader
	bytes *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

// have is how many bytes each stream has delivered.
func (s *streams) have() []int64 {
	var list []int64
	for _, r := range s.received {
		list = append(list, r.Load())
	}
	return list
}

// stop ends all.
func (s *streams) stop() error {
	var err error
	for _, c := range append(s.senders, s.sinks...) {
		err = errors.Join(err, c.Close())
	}
	if s.listener != nil {
		err = errors.Join(err, s.listener.Close())
	}
	s.running.Wait()
	return err
}
