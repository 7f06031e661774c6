package udpsock

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// opened is a socket at an address for the length of the test.
func opened(t testing.TB, address string) *Socket {
	t.Helper()
	set := Defaults()
	set.Address = address
	s, err := Open("udp", set, 0, 1)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestWhatAHostDoesNotGrantIsNotedWithTheRemedy(t *testing.T) {
	t.Parallel()
	s := opened(t, "127.0.0.1:0")
	s.Caps.Notes = nil
	// An option that the kernel does not know stands for a lacking privilege.
	const unknown = 9999
	s.buffer("recv_buffer", 1<<30, unknown, unix.SO_RCVBUF, "rmem_max")
	require.Len(t, s.Caps.Notes, 1)
	require.Contains(t, s.Caps.Notes[0], "sysctl -w net.core.rmem_max=1073741824")
	require.False(t, s.want("gro", "a thing", option{unix.SOL_UDP, unknown, 1}))
	require.Contains(t, s.Caps.Notes[1], "gro=true was not obtained")
}
