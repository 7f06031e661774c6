package peregrine

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// A message of a stream allocates nothing, there and back. Since tests poison memory,
// which takes copies, a benchmark measures.
func TestAMessageOfAStreamAllocatesNothing(t *testing.T) {
	t.Parallel()
	allocatesNothing(t, "BenchmarkStreamPingPong")
}

// Nor does a call by name, once the number is known.
func TestACallByNameAllocatesNothing(t *testing.T) {
	t.Parallel()
	allocatesNothing(t, "BenchmarkCallByName")
}

func allocatesNothing(t *testing.T, benchmark string) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	out, err := exec.Command(self, "-test.run=^$", "-test.bench=^"+benchmark+"$", "-test.benchtime=5000x", "-test.benchmem").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), " 0 allocs/op")
}

func BenchmarkCallByName(b *testing.B) {
	server, err := Listen("udp://127.0.0.1:0")
	require.NoError(b, err)
	defer server.Close()
	require.NoError(b, server.HandleName("pkg.Service/Method", func(r Request) { r.Reply(r.Data()) }))
	s, err := Dial(context.Background(), server.Addr().String())
	require.NoError(b, err)
	defer s.Close()
	method := s.Method("pkg.Service/Method")
	request, reply := make([]byte, 32), make([]byte, 32)
	for b.Loop() {
		if reply, err = method.Call(context.Background(), request, reply); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStreamPingPong(b *testing.B) {
	server, err := Listen("udp://127.0.0.1:0")
	require.NoError(b, err)
	defer server.Close()
	require.NoError(b, server.HandleStream(7, func(st *Stream) error {
		var message []byte
		for {
			var err error
			if message, err = st.Recv(message); err != nil {
				return err
			}
			if err = st.Send(message); err != nil {
				return err
			}
		}
	}))
	s, err := Dial(context.Background(), server.Addr().String())
	require.NoError(b, err)
	defer s.Close()
	st, err := s.Stream(context.Background(), 7, nil)
	require.NoError(b, err)
	message, reply := make([]byte, 32), make([]byte, 32)
	for b.Loop() {
		if err := st.Send(message); err != nil {
			b.Fatal(err)
		}
		if reply, err = st.Recv(reply); err != nil {
			b.Fatal(err)
		}
	}
}
