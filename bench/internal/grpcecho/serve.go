package grpcecho

import (
	"flag"
	"fmt"
	"net"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// Serve is the server's program: it serves a free port of loopback until its
// standard input ends.
func Serve(args []string) error {
	flags := flag.NewFlagSet("grpc-serve", flag.ContinueOnError)
	cpu := flags.Int("cpu", 0, "CPU that the whole process is pinned to")
	cert := flags.String("tls-cert", "", "PEM file of a certificate, for TLS")
	key := flags.String("tls-key", "", "PEM file of its key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := pinProcess(*cpu); err != nil {
		return err
	}
	words()
	secrecy := insecure.NewCredentials()
	if *cert != "" {
		var err error
		if secrecy, err = credentials.NewServerTLSFromFile(*cert, *key); err != nil {
			return err
		}
	}
	server := newServer(secrecy)
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

func newServer(secrecy credentials.TransportCredentials) *grpc.Server {
	server := grpc.NewServer(
		grpc.Creds(secrecy),
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
