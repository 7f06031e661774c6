package asavie

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"

	"github.com/asavie/xdp"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

// open attaches the library's program to an interface, and a socket to its only
// queue.
func open(name string, cpu int) (socket *xdp.Socket, close func(), err error) {
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
	if err := program.Attach(device.Index); err != nil {
		return nil, nil, err
	}
	socket, err = xdp.NewSocket(device.Index, 0, &xdp.SocketOptions{
		NumFrames: 1024, FrameSize: 2048,
		FillRingNumDescs: 256, CompletionRingNumDescs: 256, RxRingNumDescs: 256, TxRingNumDescs: 256,
	})
	if err == nil {
		err = program.Register(0, socket.FD())
	}
	return socket, func() { _ = program.Detach(device.Index) }, err
}

// receive takes what has arrived, without blocking.
func receive(socket *xdp.Socket) []xdp.Desc {
	socket.Complete(socket.NumCompleted())
	if n := socket.NumFreeFillSlots(); n > 0 {
		socket.Fill(socket.GetDescs(n))
	}
	return socket.Receive(socket.NumReceived())
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
	if len(frame) >= 42 {
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
}

const payload = 32

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

func measure(socket *xdp.Socket, template []byte, window int, warmup, duration time.Duration) (r result, err error) {
	began := time.Now()
	var sent []time.Duration // by number, of those in flight
	var trips []time.Duration
	send := func(number int) {
		descs := socket.GetDescs(1)
		if len(descs) == 0 {
			return
		}
		d := descs[0]
		d.Len = uint32(len(template))
		frame := socket.GetFrame(d)
		copy(frame, template)
		binary.NativeEndian.PutUint32(frame[42:], uint32(number))
		sent[number] = time.Since(began)
		socket.Transmit([]xdp.Desc{d})
	}
	receive(socket)
	sent = make([]time.Duration, window)
	for number := range window {
		send(number)
	}
	last := time.Duration(0)
	for now := time.Since(began); now < warmup+duration; now = time.Since(began) {
		descs := receive(socket)
		now = time.Since(began)
		for _, d := range descs {
			frame := socket.GetFrame(d)
			if !alike(frame, template) {
				continue
			}
			number := int(binary.NativeEndian.Uint32(frame[42:]))
			if number >= window {
				continue
			}
			last = now
			if now > warmup {
				trips = append(trips, now-sent[number])
			}
			send(number)
		}
		if now-last > time.Second {
			return r, errors.New("no echo for a second: a datagram was lost, or the library a frame")
		}
	}
	if len(trips) == 0 {
		return r, errors.New("no echo came")
	}
	slices.Sort(trips)
	at := func(q float64) float64 { return float64(trips[int(q*float64(len(trips)-1))].Nanoseconds()) / 1e3 }
	r.Rate, r.P50, r.P99 = float64(len(trips))/duration.Seconds(), at(0.5), at(0.99)
	r.ClientCPU = 1e9 / r.Rate // a polling loop has its CPU for itself
	return r, nil
}

// datagram is an Ethernet frame with UDP and without a checksum, which IPv4 allows.
func datagram(own, peer string) ([]byte, error) {
	b := make([]byte, 42+payload)
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
