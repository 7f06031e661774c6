package peregrine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/peregrine-rpc/peregrine"
)

const echo = 1

// listen opens a server on a free port of this host.
func listen() *peregrine.Endpoint {
	server, err := peregrine.Listen("udp://127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return server
}

// dial opens a session to server.
func dial(server *peregrine.Endpoint) *peregrine.Session {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	session, err := peregrine.Dial(ctx, server.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	return session
}

// A server echoes; a client calls it and waits.
func Example() {
	server, err := peregrine.Listen("udp://127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })

	ctx := context.Background()
	session, err := peregrine.Dial(ctx, server.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	reply, err := session.Call(ctx, echo, []byte("hello"), nil)
	fmt.Println(string(reply), err)
	// Output: hello <nil>
}

// The continuation form keeps many calls in flight from one loop, without a
// goroutine or an allocation for each.
func ExampleSession_Submit() {
	server := listen()
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })
	session := dial(server)
	defer session.Close()

	const calls, inFlight = 1000, 16
	started, finished, right := 0, 0, 0
	done := make(chan struct{})
	session.Loop(func() {
		for range inFlight {
			started++
			session.Submit(&peregrine.Call{
				Method: echo, Request: []byte("ping"),
				Done: func(c *peregrine.Call) {
					if finished++; c.Err == nil && string(c.Response) == "ping" {
						right++
					}
					switch {
					case started < calls:
						started++
						session.Submit(c)
					case finished == calls:
						close(done)
					}
				},
			})
		}
	})
	<-done
	fmt.Println(right, "right replies")
	// Output: 1000 right replies
}

// A handler that blocks runs on a goroutine of its own, and its client's
// deadline travels with the request.
func ExampleGo() {
	server := listen()
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) {
		time.Sleep(100 * time.Millisecond)
		r.Reply([]byte("too late"))
	}, peregrine.Go(100))
	session := dial(server)
	defer session.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := session.Call(ctx, echo, nil, nil)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

// Requests of one key run one after the other on the same worker, so the
// handler needs no lock for that key's state.
func ExamplePartition() {
	workers := peregrine.NewPool(2, 128)
	defer workers.Close()
	server := listen()
	defer server.Close()
	var counters [2]int // one for each key
	server.Handle(1, func(r peregrine.Request) {
		key := r.Data()[0]
		counters[key]++
		r.Reply(fmt.Append(nil, counters[key]))
	}, peregrine.Partition(workers, func(data []byte) uint64 { return uint64(data[0]) }))
	session := dial(server)
	defer session.Close()

	for range 3 {
		reply, err := session.Call(context.Background(), 1, []byte{0}, nil)
		fmt.Println(string(reply), err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

// A handler may call another server and answer when that has answered.
func ExampleRequest_Defer() {
	backend := listen()
	defer backend.Close()
	backend.Handle(1, func(r peregrine.Request) { r.Reply(append([]byte("backend saw "), r.Data()...)) })

	front := listen()
	defer front.Close()
	upstream, err := front.Dial(context.Background(), backend.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	front.Handle(1, func(r peregrine.Request) {
		later := r.Defer()
		upstream.Go(&peregrine.Call{Method: 1, Request: later.Data(), Buf: make([]byte, 64), Done: func(c *peregrine.Call) {
			if c.Err != nil {
				later.Fail(peregrine.Unavailable, c.Err.Error())
				return
			}
			later.Reply(c.Response)
		}})
	})
	session := dial(front)
	defer session.Close()

	reply, err := session.Call(context.Background(), 1, []byte("it"), nil)
	fmt.Println(string(reply), err)
	// Output: backend saw it <nil>
}
