// Command peregrine-bridge joins gRPC over HTTP/2 and gRPC over Peregrine, so that
// grpcurl, browsers and a fleet that has moved half-way work:
//
//	peregrine-bridge --http 127.0.0.1:8080 --to 127.0.0.1:31850                  # gRPC and grpc-web, to a Peregrine server
//	peregrine-bridge --listen udp://127.0.0.1:31850 --grpc 127.0.0.1:50051       # Peregrine, to a gRPC server
//
// Flags such as --tls-cert and --psk seal the side that is Peregrine. HTTP/2 is plain text;
// what serves plain text where others reach it wants to be told so, by --plain. The program
// ends on an interrupt, once what is under way is done or ten seconds have passed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	"github.com/peregrine-rpc/peregrine/grpc/bridge"
	"github.com/peregrine-rpc/peregrine/internal/secureflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peregrine-bridge:", err)
		os.Exit(1)
	}
}

// patience is how long what is under way may take at the end.
const patience = 10 * time.Second

// run is the program; what it prints goes to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("peregrine-bridge", flag.ContinueOnError)
	flags.SetOutput(out)
	listen := flags.String("listen", "", "URL of a Peregrine transport to serve at, such as udp://0.0.0.0:31850")
	to := flags.String("grpc", "", "address of the gRPC server that --listen forwards to")
	web := flags.String("http", "", "address to serve gRPC over HTTP/2 and grpc-web at, such as 0.0.0.0:8080")
	engine := flags.String("to", "", "address of the Peregrine server that --http forwards to")
	origins := flags.String("origins", "", "origins whose pages may call by grpc-web, separated by commas; * for all")
	limit := flags.Int("max-message", 4<<20, "longest message of a client, in bytes")
	var secure secureflag.Flags
	secure.Register(flags)
	secure.RegisterServer(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("%q is too much: there are only flags", flags.Arg(0))
	case *listen != "" && *to != "" && *web+*engine == "":
		return reverse(ctx, *listen, *to, *limit, &secure, out)
	case *web != "" && *engine != "" && *listen+*to == "":
		o := bridge.Options{MaxMessage: *limit}
		if *origins != "" {
			o.Origins = strings.Split(*origins, ",")
		}
		return forward(ctx, *web, *engine, o, &secure, out)
	}
	return errors.New("give --http and --to, or --listen and --grpc (--help says more)")
}

// forward serves HTTP before a Peregrine server.
func forward(ctx context.Context, at, to string, o bridge.Options, secure *secureflag.Flags, out io.Writer) error {
	conn, err := pgrpc.NewClient(to, pgrpc.WithEngine(secure.Options()...))
	if err != nil {
		return err
	}
	defer conn.Close()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	defer listener.Close()
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() && !secure.Plain {
		return fmt.Errorf("%v: %w", listener.Addr(), errPlain)
	}
	server := &http.Server{Handler: bridge.Handler(conn, o), Protocols: bridge.Protocols(), ReadHeaderTimeout: patience}
	fmt.Fprintf(out, "gRPC and grpc-web at %v, to %s\n", listener.Addr(), to)
	return serve(ctx, func() error { return server.Serve(listener) }, func() {
		late, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if server.Shutdown(late) != nil {
			server.Close()
		}
	})
}

// errPlain is of a web server that others reach.
var errPlain = errors.New("others can reach this address, and whoever does may call, read and forge, since HTTP is plain text here: " +
	"serve at 127.0.0.1, behind a proxy with TLS if there is one, or say --plain if that is meant")

// reverse serves Peregrine before a gRPC server.
func reverse(ctx context.Context, at, to string, limit int, secure *secureflag.Flags, out io.Writer) error {
	if err := secure.CheckServer(); err != nil {
		return err
	}
	conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	server := pgrpc.NewServer(
		pgrpc.UnknownServiceHandler(bridge.Forward(conn)), pgrpc.ForceServerCodecV2(bridge.Codec()),
		pgrpc.MaxRecvMsgSize(limit), pgrpc.MaxSendMsgSize(math.MaxInt32),
	)
	endpoint, err := server.Listen(at, secure.Options()...)
	if err != nil {
		return err
	}
	if err := secure.MayServe(endpoint); err != nil {
		server.Stop()
		return err
	}
	fmt.Fprintf(out, "Peregrine at %v, to %s\n", endpoint.Addr(), to)
	secureflag.Announce(out, endpoint)
	stopped := make(chan struct{})
	return serve(ctx, func() error { <-stopped; return nil }, func() {
		late := time.AfterFunc(patience, server.Stop)
		defer late.Stop()
		server.GracefulStop()
		close(stopped)
	})
}

// serve runs until ctx ends, and then stop has it end.
func serve(ctx context.Context, run func() error, stop func()) error {
	ended := make(chan error, 1)
	go func() { ended <- run() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		stop()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}
