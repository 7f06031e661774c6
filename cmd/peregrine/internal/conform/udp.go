package conform

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Dial opens lines from ports of the kernel's to a server.
func Dial(server netip.AddrPort) func() (Line, error) {
	return func() (Line, error) {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
		if err != nil {
			return nil, err
		}
		return &udpLine{conn: conn, connected: true, began: time.Now()}, nil
	}
}

// Listen opens a line to whoever sent to an address last.
func Listen(at netip.AddrPort) (Line, netip.AddrPort, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, at, err
	}
	bound, _ := conn.LocalAddr().(*net.UDPAddr)
	return &udpLine{conn: conn, began: time.Now()}, bound.AddrPort(), nil
}

type udpLine struct {
	conn      *net.UDPConn
	connected bool
	peer      netip.AddrPort // of one that listens
	began     time.Time
	buf       [1 << 16]byte
}

func (l *udpLine) Now() time.Duration { return time.Since(l.began) }
func (l *udpLine) Close() error       { return l.conn.Close() }

func (l *udpLine) Send(data []byte) error {
	var err error
	switch {
	case l.connected:
		_, err = l.conn.Write(data)
	case l.peer.IsValid():
		_, err = l.conn.WriteToUDPAddrPort(data, l.peer)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil // word of an earlier one
	}
	return err
}

func (l *udpLine) Receive(within time.Duration) ([]byte, error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(max(within, time.Microsecond))); err != nil {
		return nil, err
	}
	n, from, err := l.conn.ReadFromUDPAddrPort(l.buf[:])
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ECONNREFUSED):
		return nil, nil
	case err != nil:
		return nil, err
	}
	l.peer = from
	return l.buf[:n], nil
}
