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

func TestOneIsGreetedAndMany(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	output, out := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- run(ctx, []string{"--serve", "udp://127.0.0.1:0"}, out) }()
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	addr := strings.TrimSpace(strings.TrimPrefix(line, "serving at "))

	var heard strings.Builder
	require.NoError(t, run(t.Context(), []string{addr, "Ada"}, &heard))
	require.NoError(t, run(t.Context(), []string{addr, "Grace", "Barbara"}, &heard))
	require.Equal(t, "Good day, Ada.\nGood day, Grace.\nGood day, Barbara.\n", heard.String())

	require.Equal(t, codes.InvalidArgument, status.Code(run(t.Context(), []string{addr, ""}, &heard)))
	require.Equal(t, codes.InvalidArgument, status.Code(run(t.Context(), []string{addr, "Ada", ""}, io.Discard)))
	require.ErrorContains(t, run(t.Context(), nil, io.Discard), "want")

	stop()
	require.NoError(t, <-served)
}
