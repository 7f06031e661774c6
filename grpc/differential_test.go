package pgrpc_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// program is one row of the table: a server's handlers, and what a client does with it.
type program struct {
	name     string
	settings settings
	setup    func(*world)
	client   func(*world)
	// differs is why what is seen on Peregrine is not what is seen on grpc-go, and is
	// in differences.md; empty: they are the same.
	differs string
}

// run has the program run in a world of its own, and returns what all saw.
func (p *program) run(t *testing.T, start func(*world)) map[string][]string {
	w := newWorld(t, p.settings)
	if p.setup != nil {
		p.setup(w)
	}
	start(w)
	p.client(w)
	w.gracefulStop() // so that handlers have returned
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saw
}

// Each program sees on Peregrine what it sees on grpc-go over TCP: client, handlers,
// interceptors and statistics.
func TestProgramsSeeWhatTheySeeOnGRPC(t *testing.T) {
	t.Parallel()
	differences, err := os.ReadFile("differences.md")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, p := range programs() {
		require.False(t, names[p.name], p.name)
		names[p.name] = true
		require.Contains(t, string(differences), p.differs)
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			theirs := p.run(t, (*world).overTCP)
			ours := p.run(t, (*world).overPeregrine)
			require.NotEmpty(t, theirs)
			if p.differs != "" {
				require.NotEqual(t, theirs, ours, "the difference is gone: say so in differences.md")
				return
			}
			require.Equal(t, theirs, ours)
		})
	}
	require.GreaterOrEqual(t, len(names), 120)
}

func programs() []program {
	var all []program
	for _, some := range [][]program{
		unaryPrograms(), statusPrograms(), metadataPrograms(), streamPrograms(), endPrograms(),
		limitPrograms(), codecPrograms(), interceptorPrograms(), optionPrograms(), statsPrograms(), unknownPrograms(),
	} {
		all = append(all, some...)
	}
	return all
}

// withStream serves streams by h.
func withStream(h func(*world, grpc.ServerStream) error) func(*world) {
	return func(w *world) { w.stream = func(ss grpc.ServerStream) error { return h(w, ss) } }
}
