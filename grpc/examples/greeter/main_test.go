package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine/grpc/internal/testprogram"
)

func TestOneIsGreetedAndMany(t *testing.T) {
	t.Parallel()
	addr := strings.TrimSpace(strings.TrimPrefix(testprogram.Start(t, run, "--serve", "udp://127.0.0.1:0"), "serving at "))

	var heard strings.Builder
	require.NoError(t, run(t.Context(), []string{addr, "Ada"}, &heard))
	require.NoError(t, run(t.Context(), []string{addr, "Grace", "Barbara"}, &heard))
	require.Equal(t, "Good day, Ada.\nGood day, Grace.\nGood day, Barbara.\n", heard.String())

	require.Equal(t, codes.InvalidArgument, status.Code(run(t.Context(), []string{addr, ""}, &heard)))
	require.Equal(t, codes.InvalidArgument, status.Code(run(t.Context(), []string{addr, "Ada", ""}, io.Discard)))
	require.ErrorContains(t, run(t.Context(), nil, io.Discard), "want")
	var help strings.Builder
	require.NoError(t, run(t.Context(), []string{"-h"}, &help))
	require.Contains(t, help.String(), "greeter ADDR NAME...")
}
