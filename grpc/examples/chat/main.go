// Command chat is an example of all four kinds of methods over Peregrine: rooms of notes,
// which those that talk there hear at once.
//
//	chat --serve udp://127.0.0.1:50052
//	chat --room tea --from Ada 127.0.0.1:50052          # each line of the input is said
//	chat --room tea --from Ada --bring 127.0.0.1:50052  # they are added, and nobody hears them
package main

import (
	"bufio"
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
	pb "github.com/peregrine-rpc/peregrine/grpc/examples/chat/chatpb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// run is the program; it reads in and writes to out.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	url := flags.String("serve", "", "URL to serve at, such as udp://127.0.0.1:50052")
	room := flags.String("room", "hall", "room to be in")
	from := flags.String("from", "somebody", "who speaks")
	bring := flags.Bool("bring", false, "add the input's lines, and listen to nobody")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case *url != "":
		return serve(ctx, *url, out)
	case flags.NArg() != 1:
		return errors.New("want --serve URL, or a server's address")
	}
	conn, err := pgrpc.NewClient(flags.Arg(0)) // was grpc.NewClient(addr, …)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := pb.NewChatClient(conn)
	said := func(text string) *pb.Note { return &pb.Note{Room: *room, From: *from, Text: text} }
	if *bring {
		return bringAll(ctx, client, said, in, out)
	}
	if err := readAll(ctx, client, *room, out); err != nil {
		return err
	}
	return talk(ctx, client, said, in, out)
}

// serve keeps rooms until ctx is done.
func serve(ctx context.Context, url string, out io.Writer) error {
	server := pgrpc.NewServer() // was grpc.NewServer()
	pb.RegisterChatServer(server, &chat{})
	endpoint, err := server.Listen(url)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "serving at", endpoint.Addr())
	<-ctx.Done()
	server.Stop()
	return nil
}

// bringAll adds all lines.
func bringAll(ctx context.Context, client pb.ChatClient, said func(string) *pb.Note, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Bring(ctx)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		// Why it ended is what CloseAndRecv returns.
		if stream.Send(said(lines.Text())) != nil {
			break
		}
	}
	if lines.Err() != nil {
		return lines.Err()
	}
	summary, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "brought %d notes\n", summary.GetNotes())
	return nil
}

// readAll prints what has been said in a room, if there is one, and who is there.
func readAll(ctx context.Context, client pb.ChatClient, room string, out io.Writer) error {
	info, err := client.Look(ctx, &pb.Room{Name: room})
	switch {
	case status.Code(err) == codes.NotFound:
		return nil
	case err != nil:
		return err
	}
	fmt.Fprintf(out, "%d notes, %d present\n", info.GetNotes(), info.GetPresent())
	stream, err := client.Read(ctx, &pb.Room{Name: room})
	if err != nil {
		return err
	}
	return printAll(stream.Recv, out)
}

// talk says all lines and prints what others say, to the input's end.
func talk(ctx context.Context, client pb.ChatClient, said func(string) *pb.Note, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Talk(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(said("is here")); err != nil {
		return err
	}
	heard := make(chan error, 1)
	go func() { heard <- printAll(stream.Recv, out) }()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		// Why it ended is what printAll returns.
		if stream.Send(said(lines.Text())) != nil {
			break
		}
	}
	err = errors.Join(lines.Err(), stream.CloseSend())
	return errors.Join(err, <-heard)
}

func printAll(receive func() (*pb.Note, error), out io.Writer) error {
	for {
		note, err := receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		fmt.Fprintf(out, "%s: %s\n", note.GetFrom(), note.GetText())
	}
}
