package asavie

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

// What the library's socket has of each.
const frames, ring = 1024, 256

// open attaches the library's program to an interface, and a socket to its only
// queue.
func open(name string, cpu int) (_ *xdp.Socket, close func(), err error) {
	runtime.LockOSThread()
	if _, err := affinity.Pin(cpu); err != nil {
		return nil, nil, err
	}
	device, err := net.InterfaceByName(name)
	if err != nil {
		return nil, nil, err
	}
	program, err := xdp.NewProgram(1)
	if err != nil {
		return nil, nil, err
	}
	// It stays on the interface, whatever becomes of the process.
	detach := func() { _ = program.Detach(device.Index) }
	defer func() {
		if err != nil {
			detach()
		}
	}()
	if err := program.Attach(device.Index); err != nil {
		return nil, nil, err
	}
	socket, err := bind(device.Index)
	if err != nil {
		return nil, nil, err
	}
	if err := program.Register(0, socket.FD()); err != nil {
		return nil, nil, err
	}
	return socket, detach, nil
}

// patience is how long a queue may be taken by a socket that was closed before: the
// kernel lets go of it later.
const patience = 10 * time.Second

// bind opens a socket on the interface's only queue. The library gives errors' text
// alone.
func bind(device int) (*xdp.Socket, error) {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		socket, err := xdp.NewSocket(device, 0, &xdp.SocketOptions{
			NumFrames: frames, FrameSize: 2048,
			FillRingNumDescs: ring, CompletionRingNumDescs: ring, RxRingNumDescs: ring, TxRingNumDescs: ring,
		})
		if err == nil || !strings.Contains(err.Error(), unix.EBUSY.Error()) || time.Since(began) > patience {
			return socket, err
		}
	}
}

// receive takes what has arrived, without blocking. The library does not tell that
// the kernel left something to send; a socket that waits in its Poll has it asked again.
func receive(socket *xdp.Socket) []xdp.Desc {
	socket.Complete(socket.NumCompleted())
	if n := socket.NumFreeFillSlots(); n > 0 {
		socket.Fill(socket.GetDescs(n))
	}
	arrived := socket.Receive(socket.NumReceived())
	if len(arrived) == 0 && socket.NumFreeTxSlots() < ring {
		socket.Transmit(nil)
	}
	return arrived
}

// Serve is the server's program: it sends back all UDP until its standard input
// ends.
func Serve(args []string) error {
	flags := flag.NewFlagSet("asavie-serve", flag.ContinueOnError)
	cpu := flags.Int("cpu", 0, "CPU that the loop is pinned to")
	device := flags.String("interface", "", "interface to take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	socket, end, err := open(*device, *cpu)
	if err != nil {
		return err
	}
	defer end()
	done := make(chan struct{})
	go func() { side.AwaitEOF(); close(done) }()
	side.Announce(*device)
	for {
		descs := receive(socket)
		for _, d := range descs {
			turn(socket.GetFrame(d))
		}
		if len(descs) > 0 {
			socket.Transmit(descs)
			continue
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}

// turn exchanges sender and receiver, at each layer. Checksums stay right.
func turn(frame []byte) {
	swap := func(a, b, n int) {
		for i := range n {
			frame[a+i], frame[b+i] = frame[b+i], frame[a+i]
		}
	}
	if len(frame) >= headers {
		swap(0, 6, 6)
		swap(26, 30, 4)
		swap(34, 36, 2)
	}
}

// result is what the client's program hands in, in the names of `peregrine perf`.
type result struct {
	Rate      float64 `json:"rate_rps"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Before    int64   `json:"cacheline_rtt_ns"`
	After     int64   `json:"cacheline_rtt_after_ns"`
	ClientCPU float64 `json:"client_cpu_ns_per_rpc"`

	Retransmits int `json:"retransmits"`
}

// Bytes of a datagram.
const headers, payload = 14 + 20 + 8, 32

// Perf is the client's program: it keeps so many datagrams in flight.
func Perf(args []string) error {
	flags := flag.NewFlagSet("asavie-perf", flag.ContinueOnError)
	cpu := flags.Int("cpu", 1, "CPU that the loop is pinned to")
	serverCPU := flags.Int("server-cpu", 0, "CPU of the server, for the cache line's round trip")
	device := flags.String("interface", "", "interface to take")
	own := flags.String("own", "", "MAC and address, separated by a slash")
	peer := flags.String("peer", "", "the server's")
	json := flags.String("json", "", "file for the result")
	window := flags.Int("window", 64, "datagrams in flight")
	duration := flags.Duration("duration", 3*time.Second, "how long to measure")
	warmup := flags.Duration("warmup", 500*time.Millisecond, "how long to run before")
	if err := flags.Parse(args); err != nil {
		return err
	}
	template, err := datagram(*own, *peer)
	if err != nil {
		return err
	}
	before, err := cacheline.RoundTrip(*cpu, *serverCPU, 20*time.Millisecond)
	if err != nil {
		return err
	}
	socket, end, err := open(*device, *cpu)
	if err != nil {
		return err
	}
	defer end()
	r, err := measure(socket, template, *window, *warmup, *duration)
	if err != nil {
		return err
	}
	after, err := cacheline.RoundTrip(*cpu, *serverCPU, 20*time.Millisecond)
	if err != nil {
		return err
	}
	r.Before, r.After = before.Nanoseconds(), after.Nanoseconds()
	return side.WriteResult(*json, r)
}

// overdue is when a datagram without an echo is sent again, and silence when the run
// has failed.
const overdue, silence = 100 * time.Millisecond, 5 * time.Second

// flight is a datagram of those in flight.
type flight struct {
	number uint64        // which its echo has to have
	sent   time.Duration // the first time
}

func measure(socket *xdp.Socket, template []byte, window int, warmup, duration time.Duration) (r result, err error) {
	began := time.Now()
	flights := make([]flight, window)
	for i := range flights {
		flights[i].number = uint64(i)
	}
	// write makes a flight's datagram in a frame of the library's.
	write := func(d xdp.Desc, i int) xdp.Desc {
		d.Len = uint32(len(template))
		frame := socket.GetFrame(d)
		copy(frame, template)
		binary.NativeEndian.PutUint64(frame[headers:], flights[i].number)
		return d
	}
	// resend returns how many it sent of those that were sent before: for the others no
	// frame is free.
	resend := func(before time.Duration) int {
		var late []int
		for i, f := range flights {
			if f.sent < before {
				late = append(late, i)
			}
		}
		descs := socket.GetDescs(len(late))
		for k := range descs {
			descs[k] = write(descs[k], late[k])
		}
		return socket.Transmit(descs)
	}
	receive(socket)
	resend(1)
	var trips []time.Duration
	last, looked := time.Duration(0), time.Duration(0)
	now := time.Duration(0)
	for now < warmup+duration || len(trips) == 0 {
		arrived := receive(socket)
		now = time.Since(began)
		own := arrived[:0] // go back in the frames that they came in
		for _, d := range arrived {
			frame := socket.GetFrame(d)
			if !alike(frame, template) {
				continue
			}
			number := binary.NativeEndian.Uint64(frame[headers:])
			i := int(number % uint64(window))
			if number != flights[i].number {
				continue // the second echo of one that was taken for lost
			}
			last = now
			if now > warmup {
				trips = append(trips, now-flights[i].sent)
			}
			flights[i] = flight{number: number + uint64(window), sent: now}
			own = append(own, write(d, i))
		}
		if len(own) > 0 {
			socket.Transmit(own)
		}
		if now-looked > overdue {
			looked = now
			r.Retransmits += resend(now - overdue)
		}
		if now-last > silence {
			stats, err := socket.Stats()
			return r, errors.Join(fmt.Errorf("no echo for %v: of the library's frames the kernel took %d to send and gave back %d, took %d to fill and gave back %d (%+v)",
				silence, stats.Transmitted, stats.Completed, stats.Filled, stats.Received, stats.KernelStats), err)
		}
	}
	slices.Sort(trips)
	at := func(q float64) float64 { return float64(trips[int(q*float64(len(trips)-1))].Nanoseconds()) / 1e3 }
	r.Rate, r.P50, r.P99 = float64(len(trips))/(now-warmup).Seconds(), at(0.5), at(0.99)
	r.ClientCPU = 1e9 / r.Rate // a polling loop has its CPU for itself
	return r, nil
}

// datagram is an Ethernet frame with UDP and without a checksum, which IPv4 allows.
func datagram(own, peer string) ([]byte, error) {
	b := make([]byte, headers+payload)
	for i, who := range []string{peer, own} {
		var mac net.HardwareAddr
		var ip net.IP
		var text [2]string
		if n, _ := fmt.Sscanf(who, "%17s/%s", &text[0], &text[1]); n == 2 {
			mac, _ = net.ParseMAC(text[0])
			ip = net.ParseIP(text[1]).To4()
		}
		if len(mac) != 6 || ip == nil {
			return nil, fmt.Errorf("want such as 02:00:00:09:00:01/10.9.0.1, not %q", who)
		}
		copy(b[6*i:], mac)
		copy(b[30-4*i:], ip)
	}
	copy(b[12:], []byte{8, 0, 0x45, 0, 0, 28 + payload, 0, 0, 0x40, 0, 64, 17})
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[24:], ^uint16(sum>>16+sum))
	binary.BigEndian.PutUint16(b[34:], 31850)
	binary.BigEndian.PutUint16(b[36:], 31850)
	binary.BigEndian.PutUint16(b[38:], 8+payload)
	return b, nil
}

// alike says whether a frame is a datagram as ours: the library takes all that the
// queue receives, ARP and what IPv6 does by itself among it.
func alike(frame, template []byte) bool {
	return len(frame) >= len(template) && string(frame[12:14]) == string(template[12:14]) && frame[23] == template[23]
}
