package peregrine_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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

// A test runs client and server in memory, without ports or a network, as gRPC's
// do with bufconn. The options are all that differs from the real thing.
func Example_inMemory() {
	server, err := peregrine.Listen("mem://", peregrine.WithHandler(echo, func(r peregrine.Request) { r.Reply(r.Data()) }))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	session, err := peregrine.Dial(ctx, server.Addr().String(), peregrine.WithTransport("mem://"))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	reply, err := session.Call(ctx, echo, []byte("hello"), nil)
	fmt.Println(string(reply), err)
	// Output: hello <nil>
}

// Two transports that reach each other and nobody else: not even other tests of
// the same process can be in the way.
func ExampleWithTransports() {
	near, far := mem.Pair()
	over := func(tr transport.Transport) peregrine.Option {
		return peregrine.WithTransports(func(queue, queues int) (transport.Transport, error) { return tr, nil })
	}
	server, err := peregrine.Listen("", over(far))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })

	ctx := context.Background()
	session, err := peregrine.Dial(ctx, far.LocalAddr().String(), over(near))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	reply, err := session.Call(ctx, echo, []byte("hello"), nil)
	fmt.Println(string(reply), err)
	// Output: hello <nil>
}

// The error says what went wrong, and whether the request may have executed: if
// not, it is safe to call again.
func ExampleSession_Call() {
	server := listen()
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) {
		if len(r.Data()) == 0 {
			r.Fail(peregrine.InvalidArgument, "nothing to echo")
			return
		}
		r.Reply(r.Data())
	})
	session := dial(server)
	defer session.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // travels with the request
	defer cancel()
	buf := make([]byte, 64) // the reply goes here, if it fits
	reply, err := session.Call(ctx, echo, []byte("hello"), buf)
	fmt.Println(string(reply), err)
	_, err = session.Call(ctx, echo, nil, buf)
	fmt.Println(peregrine.CodeOf(err), err)
	// Output:
	// hello <nil>
	// InvalidArgument InvalidArgument: nothing to echo
}

// Where nobody listens, Dial fails as soon as that is known. With
// WithWaitForReady and WithLazyDial it and the calls wait for the server instead.
func ExampleDial() {
	session, err := peregrine.Dial(context.Background(), "127.0.0.1:9", peregrine.WithLazyDial(), peregrine.WithWaitForReady())
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err = session.Call(ctx, echo, nil, nil)
	fmt.Println(peregrine.CodeOf(err))
	// Output: DeadlineExceeded
}

// Many sessions over one endpoint share its loops and memory, and those to one
// server its connection.
func ExampleEndpoint_Dial() {
	server := listen()
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })

	client, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithConfig(peregrine.Config{ClientOnly: true}))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	for range 3 {
		session, err := client.Dial(ctx, server.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		reply, err := session.Call(ctx, echo, []byte("hello"), nil)
		fmt.Println(string(reply), err)
	}
	// Output:
	// hello <nil>
	// hello <nil>
	// hello <nil>
}

// An interceptor looks at calls and their outcomes.
func ExampleWithCallInterceptor() {
	server := listen()
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })

	counting := func(next peregrine.CallFunc) peregrine.CallFunc {
		return func(ctx context.Context, method peregrine.Method, request, buf []byte) ([]byte, error) {
			reply, err := next(ctx, method, request, buf)
			fmt.Println("method", method, peregrine.CodeOf(err))
			return reply, err
		}
	}
	ctx := context.Background()
	session, err := peregrine.Dial(ctx, server.Addr().String(), peregrine.WithCallInterceptor(counting))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	session.Call(ctx, echo, []byte("hello"), nil)
	session.Call(ctx, 2, nil, nil)
	// Output:
	// method 1 OK
	// method 2 Unimplemented
}

// The state of a connection can be waited for, in gRPC's terms.
func ExampleSession_WaitForStateChange() {
	server := listen()
	session := dial(server)
	defer session.Close()
	fmt.Println(session.State())
	server.Close()
	session.WaitForStateChange(context.Background(), peregrine.Ready)
	fmt.Println(session.State())
	// Output:
	// Ready
	// Idle
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
		<-r.Context().Done() // there is never anything to say
		r.Fail(peregrine.DeadlineExceeded, "the client has given up")
	}, peregrine.Go(100))
	session := dial(server)
	defer session.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := session.Call(ctx, echo, nil, nil)
	fmt.Println(peregrine.CodeOf(err))
	// Output: DeadlineExceeded
}

// Requests of one key run one after the other on the same worker, so the
// handler needs no lock for that key's state.
func ExamplePartition() {
	workers := peregrine.NewPool(2, 128)
	defer workers.Close()
	server := listen()
	defer server.Close()
	keyOf := func(data []byte) uint64 { // of any request, whoever sent it
		if len(data) == 0 {
			return 0
		}
		return uint64(data[0])
	}
	counters := make([]int, 256) // one for each key
	server.Handle(1, func(r peregrine.Request) {
		key := keyOf(r.Data())
		counters[key]++
		r.Reply(fmt.Append(nil, counters[key]))
	}, peregrine.Partition(workers, keyOf))
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

// A handler that returns a reply or an error, calls another server under its
// request's context, and so ends when its own client gives up.
func ExampleUnary() {
	backend := listen()
	defer backend.Close()
	backend.Handle(1, peregrine.Unary(func(_ context.Context, request []byte) ([]byte, error) {
		if len(request) == 0 {
			return nil, &peregrine.Error{Code: peregrine.InvalidArgument, Message: "name a key"}
		}
		return []byte("value of " + string(request)), nil
	}))
	upstream := dial(backend)
	defer upstream.Close()

	front := listen()
	defer front.Close()
	front.Handle(1, peregrine.Unary(func(ctx context.Context, request []byte) ([]byte, error) {
		return upstream.Call(ctx, 1, request, nil)
	}), peregrine.Go(100)) // since it blocks
	session := dial(front)
	defer session.Close()

	for _, key := range []string{"a", ""} {
		reply, err := session.Call(context.Background(), 1, []byte(key), nil)
		fmt.Printf("%q %v\n", reply, err)
	}
	// Output:
	// "value of a" <nil>
	// "" InvalidArgument: name a key
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

// A stream is for more than one message: here the handler answers each one, and ends
// when the client sends no more. Either side may send at any time.
func ExampleSession_Stream() {
	server := listen()
	defer server.Close()
	server.HandleStream(echo, func(st *peregrine.Stream) error {
		var message []byte
		for {
			var err error
			switch message, err = st.Recv(message); {
			case err == io.EOF:
				st.SetTrailer([]byte("that was all"))
				return nil
			case err != nil:
				return err
			}
			if err := st.Send(append([]byte("you said "), message...)); err != nil {
				return err
			}
		}
	})

	session := dial(server)
	defer session.Close()
	st, err := session.Stream(context.Background(), echo, nil)
	if err != nil {
		log.Fatal(err)
	}
	st.Send([]byte("hello"))
	st.Send([]byte("goodbye"))
	st.CloseSend()
	for {
		message, err := st.Recv(nil)
		if err != nil {
			fmt.Println(err, string(st.Trailer()))
			return
		}
		fmt.Println(string(message))
	}
	// Output:
	// you said hello
	// you said goodbye
	// EOF that was all
}
