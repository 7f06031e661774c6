package grpcecho

import (
	"flag"
	"fmt"
	"net"
	"runtime"

	"google.golang.org/grpc"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// Serve is the server's program: it serves a free port of loopback until its
// standard input ends.
func Serve(args []string) error {
	flags := flag.NewFlagSet("grpc-serve", flag.ContinueOnError)
	cpu := flags.Int("cpu", 0, "CPU that the whole process is pinned to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := pinProcess(*cpu); err != nil {
		return err
	}
	words()
	server := newServer()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	side.Announce(listener.Addr().String())
	go func() {
		side.AwaitEOF()
		server.Stop()
	}()
	return server.Serve(listener)
}

func newServer() *grpc.Server {
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
	)
	server.RegisterService(&description, nil)
	return server
}

// pinProcess gives a whole process one core, as `peregrine perf --call` does.
func pinProcess(cpu int) error {
	if err := affinity.SetProcess(cpu); err != nil {
		return fmt.Errorf("--cpu: %w", err)
	}
	runtime.GOMAXPROCS(1)
	return nil
}
