package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// methods are those of the service that can be measured.
var methods = []string{"UnaryCall", "StreamingCall", "StreamingFromServer", "StreamingFromClient"}

// longest is the latency that longer ones are taken for.
const longest = time.Minute

// worker is what one goroutine has measured.
type worker struct {
	latencies *hdrhistogram.Histogram // ns
	sum       time.Duration
	codes     map[codes.Code]int
	reasons   map[string]int
}

// turns gives out calls: how many there are, until when, and how fast.
type turns struct {
	load  *load
	began time.Time
	taken atomic.Int64
}

// next waits for the next call's turn; false: there is none.
func (t *turns) next(ctx context.Context) bool {
	n := t.taken.Add(1)
	at := time.Duration(0)
	if t.load.rps > 0 {
		at = time.Duration(n-1) * time.Second / time.Duration(t.load.rps)
	}
	switch d := t.load.duration; {
	case ctx.Err() != nil, d == 0 && n > int64(t.load.total), d > 0 && max(at, time.Since(t.began)) >= d:
		t.taken.Add(-1)
		return false
	}
	if wait := at - time.Since(t.began); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// share is how much of the whole is done.
func (t *turns) share() float64 {
	if d := t.load.duration; d > 0 {
		return min(float64(time.Since(t.began))/float64(d), 1)
	}
	return min(float64(t.taken.Load())/float64(t.load.total), 1)
}

// measure calls until all is done, and shows meanwhile how far that is.
func (l *load) measure(ctx context.Context, addr string, show func(*turns) (stop func())) (*result, error) {
	clients := make([]pb.BenchmarkServiceClient, l.connections)
	for i := range clients {
		c, err := l.dial(addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		clients[i] = pb.NewBenchmarkServiceClient(c)
		// Connected beforehand, and an error here is of the address, not a result.
		if _, err := l.once(ctx, clients[i]); err != nil {
			return nil, err
		}
	}
	pairs, err := l.pairs()
	if err != nil {
		return nil, err
	}
	called := metadata.AppendToOutgoingContext(ctx, pairs...)
	workers := make([]worker, l.concurrency)
	t := &turns{load: l, began: time.Now()}
	stop := show(t)
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { workers[i].run(called, clients[i%len(clients)], t) })
	}
	all.Wait()
	elapsed := time.Since(t.began)
	stop()
	return newResult(l, t.began, elapsed, workers), nil
}

// once makes an empty call.
func (l *load) once(ctx context.Context, client pb.BenchmarkServiceClient) (*pb.SimpleResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	return client.UnaryCall(ctx, &pb.SimpleRequest{})
}

// run takes turns until there are none. A stream that fails is opened anew.
func (w *worker) run(ctx context.Context, client pb.BenchmarkServiceClient, t *turns) {
	w.latencies = hdrhistogram.New(1, int64(longest), 3)
	w.codes, w.reasons = map[codes.Code]int{}, map[string]int{}
	c := caller{load: t.load, client: client, ctx: ctx}
	c.request = &pb.SimpleRequest{Payload: &pb.Payload{Body: bytes.Repeat([]byte{0x5a}, t.load.size)}}
	defer func() { c.close() }()
	for t.next(ctx) {
		began := time.Now()
		err := c.call()
		took := time.Since(began)
		if ctx.Err() != nil { // cut short
			return
		}
		w.codes[status.Code(err)]++
		w.sum += took
		_ = w.latencies.RecordValue(min(max(int64(took), 1), int64(longest)))
		if err != nil {
			w.reasons[err.Error()]++
			c.close()
		}
	}
}

// caller makes one worker's calls. Of streams a call is a message there and back, one
// received, or one sent.
type caller struct {
	load    *load
	client  pb.BenchmarkServiceClient
	ctx     context.Context
	request *pb.SimpleRequest

	step func() error // of the open stream; nil: there is none
	end  func()
}

var errLength = status.Error(codes.DataLoss, "a reply has another length than it should")

func (l *load) right(reply *pb.SimpleResponse, err error) error {
	if err == nil && len(reply.GetPayload().GetBody()) != l.size {
		return errLength
	}
	return err
}

func (c *caller) call() error {
	if c.load.call == "UnaryCall" {
		ctx, cancel := context.WithTimeout(c.ctx, c.load.timeout)
		defer cancel()
		return c.load.right(c.client.UnaryCall(ctx, c.request))
	}
	if c.step == nil {
		if err := c.open(); err != nil {
			return err
		}
	}
	return c.step()
}

// open opens a stream.
func (c *caller) open() error {
	ctx, cancel := context.WithCancel(c.ctx)
	var err error
	switch c.load.call {
	case "StreamingCall":
		var stream pb.BenchmarkService_StreamingCallClient
		stream, err = c.client.StreamingCall(ctx)
		c.step = func() error {
			if err := stream.Send(c.request); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			return c.load.right(stream.Recv())
		}
	case "StreamingFromServer":
		var stream pb.BenchmarkService_StreamingFromServerClient
		stream, err = c.client.StreamingFromServer(ctx, c.request)
		c.step = func() error { return c.load.right(stream.Recv()) }
	case "StreamingFromClient":
		var stream pb.BenchmarkService_StreamingFromClientClient
		stream, err = c.client.StreamingFromClient(ctx)
		c.step = func() error {
			err := stream.Send(c.request)
			if errors.Is(err, io.EOF) {
				_, err = stream.CloseAndRecv()
			}
			return err
		}
	}
	if err != nil {
		cancel()
		c.step = nil
		return err
	}
	c.end = cancel
	return nil
}

// close gives the stream up.
func (c *caller) close() {
	if c.end != nil {
		c.end()
	}
	c.step, c.end = nil, nil
}
