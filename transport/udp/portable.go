package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/routes"
	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/transport"
)

// portable is a queue on the standard library's socket, for systems without the
// batch calls. A goroutine reads ahead, one datagram at a time, for the library
// has no read that does not block.
type portable struct {
	conn   *net.UDPConn
	v4, v6 bool // the families of peers
	local  netip.AddrPort
	caps   transport.Caps

	routes routes.Table[portableDest]
	heads  udpsock.Heads
	taken  uint64
	source portableSource

	// Each buffer is in free, in arrived, with the reader or with the caller.
	buffers [portableBuffers][]byte
	made    int // of buffers, by the reader, when none is free
	free    chan uint32
	arrived chan datagram

	// signal holds a token when something has arrived or Wake was called since
	// the last Wait. A token too many makes a Wait return early, no more.
	signal chan struct{}
	timer  *time.Timer

	stats   udpsock.Counters
	failure atomic.Pointer[error] // why the reader stopped
	closed  atomic.Bool
	done    chan struct{} // closed by Close
	reader  sync.WaitGroup
}

type datagram struct {
	buffer uint32
	size   int
	from   netip.AddrPort
	to     netip.Addr
}

const (
	// portableBuffers is how many buffers there are, of each direction.
	portableBuffers = 128
	// portableSize is more than any datagram has, so that none is cut off:
	// not every system tells.
	portableSize = 1 << 16
	// darwinPayload is the default of net.inet.udp.maxdgram.
	darwinPayload = 9216
)

func openPortable(cfg Config, queue, queues int) (*portable, error) {
	set := udpsock.Settings(cfg)
	addr, err := set.Local(name, queue, queues)
	if err != nil {
		return nil, err
	}
	if queues > 1 {
		return nil, fmt.Errorf("udp: %d queues on one address: this system has one: ask for one, or open more addresses", queues)
	}
	if cfg.Share {
		return nil, &transport.ConfigError{Driver: name, Key: "share", Problem: "processes cannot share a port on this system: give each its own"}
	}
	p := &portable{
		v4:      !addr.Addr().Is6() || addr.Addr().IsUnspecified(),
		v6:      !addr.Addr().Is4(),
		free:    make(chan uint32, portableBuffers),
		arrived: make(chan datagram, portableBuffers),
		signal:  make(chan struct{}, 1),
		done:    make(chan struct{}),
		timer:   time.NewTimer(time.Hour),
	}
	p.timer.Stop()
	network := "udp"
	if !p.v6 {
		network = "udp4"
	} else if !p.v4 {
		network = "udp6"
	}
	if p.conn, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(addr)); err != nil {
		return nil, fmt.Errorf("udp: cannot listen on %v: choose a free port (0 for any) and an address of this host: %w", cfg.Address, err)
	}
	bound := p.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	p.local = netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
	p.v6 = p.local.Addr().Is6() // the host may lack it

	mtu := cfg.MTU
	if mtu == 0 {
		mtu = udpsock.LinkMTU(addr.Addr())
	}
	payload := udpsock.MaxPayload(mtu, p.v6)
	if runtime.GOOS == "darwin" {
		payload = min(payload, darwinPayload)
	}
	p.caps = transport.Caps{
		Backend:    name,
		MaxPayload: payload,
		RxBatch:    32,
		TxBatch:    32,
		RxBuffers:  portableBuffers - 1, // one is the reader's
		Queue:      queue,
		Queues:     queues,
		Integrity:  true, // the kernel verifies UDP's checksum
	}
	for _, b := range []struct {
		key  string
		size int
		set  func(int) error
	}{{"recv_buffer", cfg.RecvBuffer, p.conn.SetReadBuffer}, {"send_buffer", cfg.SendBuffer, p.conn.SetWriteBuffer}} {
		if err := b.set(b.size); err != nil {
			p.caps.Notes = append(p.caps.Notes, fmt.Sprintf("udp: %s=%d was not obtained: raise the system's limit or ask for less: %v", b.key, b.size, err))
		}
	}
	if p.local.Addr().IsUnspecified() {
		if err := p.source.open(p.conn, p.v6); err != nil {
			p.caps.Notes = append(p.caps.Notes, fmt.Sprintf("udp: answers leave from the address that the system chooses, whichever "+
				"was asked: open the transport on one address if the host has several: %v", err))
		}
	}
	p.heads = udpsock.NewHeads(portableBuffers, payload, nil)
	p.reader.Go(p.read)
	return p, nil
}

// read moves datagrams from the socket to arrived until Close.
func (p *portable) read() {
	for {
		b, ok := p.buffer()
		if !ok {
			return
		}
		size, from, to, err := p.source.read(p.conn, p.buffers[b])
		p.stats.RxCalls.Add(1)
		switch {
		case err == nil:
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			p.arrived <- datagram{b, size, from, to} // has room for all buffers
		case isRemote(err):
			p.free <- b
			continue
		default:
			failure := err // so that err itself stays on the stack
			p.failure.Store(&failure)
		}
		p.Wake()
		if err != nil {
			return
		}
	}
}

// buffer waits for a buffer to read into; false is the end.
func (p *portable) buffer() (uint32, bool) {
	select {
	case b := <-p.free:
		return b, true
	default:
	}
	if p.made < portableBuffers {
		p.buffers[p.made] = make([]byte, portableSize)
		p.made++
		return uint32(p.made - 1), true
	}
	select {
	case b := <-p.free:
		return b, true
	case <-p.done:
		return 0, false
	}
}

// isRemote tells the reports of ICMP about an earlier packet from failures.
func isRemote(err error) bool {
	const wsaConnReset, wsaNetReset = syscall.Errno(10054), syscall.Errno(10052) // on Windows
	for _, known := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		wsaConnReset, wsaNetReset,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func (p *portable) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	if p.closed.Load() {
		return 0, errClosed
	}
	source = source.Unmap()
	d := portableDest{addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}
	err := udpsock.CheckPeer(addr, source, p.v4, p.v6)
	switch {
	case err != nil || !source.IsValid():
	case p.local.Addr().IsUnspecified():
		d.control, err = p.source.control(source)
	default:
		err = udpsock.OnlySource(p.local.Addr(), source)
	}
	if err != nil {
		return 0, fmt.Errorf("udp: %w", err)
	}
	return transport.Route(p.routes.Add(d)), nil
}

func (p *portable) Forget(r transport.Route) { p.routes.Forget(uint32(r)) }

func (p *portable) Reserve(pkts []transport.TxPacket) int {
	if p.closed.Load() {
		return 0
	}
	return p.heads.Reserve(pkts)
}

// Send copies each Payload behind its Head, and waits where the kernel's buffer
// is full: it empties by itself.
func (p *portable) Send(pkts []transport.TxPacket) (int, error) {
	if p.closed.Load() {
		return 0, errClosed
	}
	packets, bytes := 0, 0
	for i := range pkts {
		switch size, err := p.send(&pkts[i]); {
		case err == nil:
			packets++
			bytes += size
		case errors.Is(err, net.ErrClosed):
			return i, errClosed
		case isTooLarge(err):
			p.stats.TxTooLarge.Add(1)
		default:
			p.stats.TxRefused.Add(1)
		}
		p.heads.Take(pkts[i : i+1])
		p.taken++
	}
	p.stats.TxPackets.Add(uint64(packets))
	p.stats.TxBytes.Add(uint64(bytes))
	p.stats.TxCalls.Add(uint64(packets))
	return len(pkts), nil
}

var (
	errTooLarge = errors.New("larger than MaxPayload")
	errNoRoute  = errors.New("not a route")
)

func (p *portable) send(pkt *transport.TxPacket) (int, error) {
	dest := p.routes.Get(uint32(pkt.Route))
	switch {
	case dest == nil:
		return 0, errNoRoute
	case len(pkt.Head)+len(pkt.Payload) > p.caps.MaxPayload:
		return 0, errTooLarge
	}
	data := append(pkt.Head, pkt.Payload...)
	if dest.control == nil {
		return p.conn.WriteToUDPAddrPort(data, dest.addr)
	}
	n, _, err := p.conn.WriteMsgUDPAddrPort(data, dest.control, dest.addr)
	return n, err
}

func isTooLarge(err error) bool {
	const wsaMsgSize = syscall.Errno(10040) // on Windows
	return err == errTooLarge || errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, wsaMsgSize)
}

func (p *portable) Completed() uint64 { return p.taken }

func (p *portable) Recv(pkts []transport.RxPacket) (int, error) {
	if p.closed.Load() {
		return 0, errClosed
	}
	n, bytes := 0, 0
	for n < len(pkts) && len(p.arrived) > 0 {
		d := <-p.arrived
		pkts[n] = transport.RxPacket{
			Data:   p.buffers[d.buffer][:d.size:d.size],
			From:   d.from,
			To:     d.to,
			Handle: uint64(d.buffer),
		}
		n++
		bytes += d.size
	}
	if err := p.failure.Load(); n == 0 && err != nil {
		return 0, fmt.Errorf("udp: the socket failed: %w", *err)
	}
	if n > 0 {
		p.stats.RxPackets.Add(uint64(n))
		p.stats.RxBytes.Add(uint64(bytes))
	}
	return n, nil
}

func (p *portable) Release(pkts []transport.RxPacket) {
	for i := range pkts {
		p.free <- uint32(pkts[i].Handle)
	}
}

func (p *portable) Wait(timeout time.Duration) error {
	if timeout != 0 && len(p.arrived) == 0 {
		var expired <-chan time.Time
		if timeout > 0 {
			p.timer.Reset(timeout)
			expired = p.timer.C
			defer p.timer.Stop()
		}
		select {
		case <-p.signal:
		case <-expired:
		case <-p.done:
		}
	}
	if p.closed.Load() {
		return errClosed
	}
	return nil
}

func (p *portable) Wake() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

func (p *portable) LocalAddr() netip.AddrPort { return p.local }

func (p *portable) Caps() transport.Caps { return p.caps }

func (p *portable) Stats() transport.Stats { return p.stats.Snapshot() }

func (p *portable) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	close(p.done)
	err := p.conn.Close()
	p.reader.Wait()
	return err
}
