// Command greeter is gRPC's first example over Peregrine: a server that greets, and a
// client that is greeted, one at a time or many on a stream.
//
//	greeter --serve udp://127.0.0.1:50051
//	greeter 127.0.0.1:50051 Ada
//	greeter 127.0.0.1:50051 Ada Grace Barbara
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	pb "github.com/peregrine-rpc/peregrine/grpc/examples/greeter/greeterpb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "greeter:", err)
		os.Exit(1)
	}
}

// run is the program; what it prints goes to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("greeter", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "Usage: greeter --serve URL\n       greeter ADDR NAME...")
		flags.PrintDefaults()
	}
	url := flags.String("serve", "", "`URL` to serve at, such as udp://127.0.0.1:50051")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case *url != "":
		return serve(ctx, *url, out)
	case flags.NArg() < 2:
		return errors.New("want --serve URL, or a server's address and names")
	}
	return ask(ctx, flags.Arg(0), flags.Args()[1:], out)
}

// greeter is the service, as one writes it for gRPC.
type greeter struct{ pb.UnimplementedGreeterServer }

func greeting(name string) (*pb.GreetReply, error) {
	if name == "" {
		return nil, status.Error(codes.InvalidArgument, "whom shall I greet?")
	}
	return &pb.GreetReply{Greeting: "Good day, " + name + "."}, nil
}

func (greeter) Greet(_ context.Context, in *pb.GreetRequest) (*pb.GreetReply, error) {
	return greeting(in.GetName())
}

func (greeter) GreetAll(in *pb.GreetAllRequest, stream pb.Greeter_GreetAllServer) error {
	for _, name := range in.GetNames() {
		reply, err := greeting(name)
		if err == nil {
			err = stream.Send(reply)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// serve greets until ctx is done, and ends what is under way.
func serve(ctx context.Context, url string, out io.Writer) error {
	server := pgrpc.NewServer() // was grpc.NewServer()
	pb.RegisterGreeterServer(server, greeter{})
	endpoint, err := server.Listen(url)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "serving at", endpoint.Addr())
	<-ctx.Done()
	server.GracefulStop()
	return nil
}

// ask prints the greetings of all names.
func ask(ctx context.Context, addr string, names []string, out io.Writer) error {
	conn, err := pgrpc.NewClient(addr) // was grpc.NewClient(addr, …)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := pb.NewGreeterClient(conn)
	if len(names) == 1 {
		reply, err := client.Greet(ctx, &pb.GreetRequest{Name: names[0]})
		if err != nil {
			return err
		}
		fmt.Fprintln(out, reply.GetGreeting())
		return nil
	}
	stream, err := client.GreetAll(ctx, &pb.GreetAllRequest{Names: names})
	if err != nil {
		return err
	}
	for {
		reply, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		fmt.Fprintln(out, reply.GetGreeting())
	}
}
