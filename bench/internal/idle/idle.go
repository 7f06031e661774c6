package idle

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/bench/internal/side"
)

const (
	// echo returns the request; memory, what the server holds, as JSON.
	echo uint16 = 1 + iota
	memory
)

// settle is how long acknowledgements and timers may take to come to rest.
const settle = 500 * time.Millisecond

// Serve is the server's program: it serves a free port of loopback until its
// standard input ends.
func Serve([]string) error {
	e, err := serve()
	if err != nil {
		return err
	}
	side.Announce(e.Addr().String())
	side.AwaitEOF()
	return e.Close()
}

func serve() (*peregrine.Endpoint, error) {
	e, err := peregrine.Listen("udp://127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })
	e.Handle(memory, func(r peregrine.Request) {
		held, err := side.MemoryNow()
		if err != nil {
			r.Fail(peregrine.Internal, err.Error())
			return
		}
		text, err := json.Marshal(held)
		if err != nil {
			r.Fail(peregrine.Internal, err.Error())
			return
		}
		r.Reply(text)
	}, peregrine.Go(1))
	return e, nil
}

// result is in bytes a session.
type result struct {
	Sessions       int   `json:"sessions"`
	ClientHeap     int64 `json:"client_heap"`
	ClientResident int64 `json:"client_resident"`
	ServerHeap     int64 `json:"server_heap"`
	ServerResident int64 `json:"server_resident"`
	// Larger is the resident memory of the side that holds more.
	Larger int64 `json:"larger_resident"`
}

// Dial is the client's program: it opens sessions to the server at its last
// argument and writes what both sides hold of them.
func Dial(args []string) error {
	flags := flag.NewFlagSet("idle-dial", flag.ContinueOnError)
	sessions := flags.Int("sessions", 20_000, "sessions to open")
	json := flags.String("json", "", "file for the result")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *json == "" || *sessions < 1 {
		return errors.New("want --json FILE, at least one of --sessions, and the server's address")
	}
	e, err := peregrine.Listen("udp://127.0.0.1:0")
	if err != nil {
		return err
	}
	defer e.Close()
	r, err := measure(context.Background(), e, flags.Arg(0), *sessions)
	if err != nil {
		return err
	}
	return side.WriteResult(*json, r)
}

func measure(ctx context.Context, e *peregrine.Endpoint, addr string, sessions int) (result, error) {
	r := result{Sessions: sessions}
	// The connection and the first session are there before: they are not what
	// a further session costs.
	first, err := use(ctx, e, addr)
	if err != nil {
		return r, err
	}
	opened := make([]*peregrine.Session, sessions)
	clientBefore, serverBefore, err := held(ctx, first)
	if err != nil {
		return r, err
	}
	for i := range opened {
		if opened[i], err = use(ctx, e, addr); err != nil {
			return r, fmt.Errorf("session %d: %w", i+1, err)
		}
	}
	clientAfter, serverAfter, err := held(ctx, first)
	if err != nil {
		return r, err
	}
	for _, s := range opened {
		if err := s.Close(); err != nil {
			return r, err
		}
	}
	n := int64(sessions)
	r.ClientHeap = (clientAfter.Heap - clientBefore.Heap) / n
	r.ClientResident = (clientAfter.Resident - clientBefore.Resident) / n
	r.ServerHeap = (serverAfter.Heap - serverBefore.Heap) / n
	r.ServerResident = (serverAfter.Resident - serverBefore.Resident) / n
	r.Larger = max(r.ClientResident, r.ServerResident)
	return r, nil
}

// use opens a session and makes a call on it.
func use(ctx context.Context, e *peregrine.Endpoint, addr string) (*peregrine.Session, error) {
	s, err := e.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	_, err = s.Call(ctx, echo, make([]byte, 32), make([]byte, 32))
	return s, err
}

// held is what both sides hold, at rest.
func held(ctx context.Context, s *peregrine.Session) (client, server side.Memory, err error) {
	time.Sleep(settle)
	text, err := s.Call(ctx, memory, nil, nil)
	if err != nil {
		return client, server, fmt.Errorf("the server's memory: %w", err)
	}
	if err := json.Unmarshal(text, &server); err != nil {
		return client, server, fmt.Errorf("the server's memory: %w", err)
	}
	client, err = side.MemoryNow()
	return client, server, err
}
