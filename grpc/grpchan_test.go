package pgrpc_test

import (
	"testing"

	"github.com/fullstorydev/grpchan/grpchantesting"
	"github.com/stretchr/testify/require"

	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
)

// The channel test-suite of grpchan, which other transports of grpc-go's stubs are
// judged by, passes.
func TestGrpchansChannelSuite(t *testing.T) {
	t.Parallel()
	server := pgrpc.NewServer()
	grpchantesting.RegisterTestServiceServer(server, &grpchantesting.TestServer{})
	endpoint, err := server.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	defer server.Stop()
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(patient))
	require.NoError(t, err)
	defer conn.Close()
	grpchantesting.RunChannelTestCases(t, conn, true)
}
