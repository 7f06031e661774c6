package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// guest is a client: what it is to say goes in, and what it prints comes out.
type guest struct {
	say   *io.PipeWriter
	lines chan string // closed when it has ended
	ended chan error
}

func start(ctx context.Context, args ...string) guest {
	in, say := io.Pipe()
	heard, out := io.Pipe()
	g := guest{say, make(chan string, 100), make(chan error, 1)}
	go func() {
		err := run(ctx, args, in, out)
		_ = out.Close()
		g.ended <- err
	}()
	go func() {
		defer close(g.lines)
		for lines := bufio.NewScanner(heard); lines.Scan(); {
			g.lines <- lines.Text()
		}
	}()
	return g
}

func TestGuestsHearEachOther(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	server := start(ctx, "--serve", "udp://127.0.0.1:0")
	addr := strings.TrimPrefix(<-server.lines, "serving at ")

	var brought strings.Builder
	require.NoError(t, run(t.Context(), []string{"--room", "tea", "--from", "Jane", "--bring", addr},
		strings.NewReader("The kettle is on.\nIt is warm.\n"), &brought))
	require.Equal(t, "brought 2 notes\n", brought.String())

	ada := start(t.Context(), "--room", "tea", "--from", "Ada", addr)
	require.Equal(t, "2 notes, 0 present", <-ada.lines)
	require.Equal(t, "Jane: The kettle is on.", <-ada.lines)
	require.Equal(t, "Jane: It is warm.", <-ada.lines)
	_, err := io.WriteString(ada.say, "Is there milk?\n")
	require.NoError(t, err)

	// What Ada says is on its way: Grace may come before it.
	grace := start(t.Context(), "--room", "tea", "--from", "Grace", addr)
	require.Equal(t, "Grace: is here", <-ada.lines)
	_, err = io.WriteString(grace.say, "Here you are.\n")
	require.NoError(t, err)
	require.Equal(t, "Grace: Here you are.", <-ada.lines)
	require.NoError(t, ada.say.Close())
	require.NoError(t, <-ada.ended)

	require.NoError(t, grace.say.Close())
	require.NoError(t, <-grace.ended)
	var all []string
	for line := range grace.lines {
		all = append(all, line)
	}
	require.Contains(t, all, "Jane: It is warm.")
	require.Contains(t, all, "Ada: Is there milk?")

	require.Equal(t, codes.InvalidArgument, status.Code(
		run(t.Context(), []string{"--room", "", addr}, strings.NewReader(""), io.Discard)))
	stop()
	require.NoError(t, <-server.ended)
}
