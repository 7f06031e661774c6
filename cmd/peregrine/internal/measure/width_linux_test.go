package measure_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// terminal opens one of so many columns.
func terminal(t *testing.T, columns uint16) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminal to try: ", err)
	}
	t.Cleanup(func() { master.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { slave.Close() })
	require.NoError(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	return slave
}

func TestATerminalHasAWidthAndNothingElseHas(t *testing.T) {
	t.Parallel()
	require.Equal(t, 40, measure.Width(terminal(t, 40)))
	require.Equal(t, 20, measure.Width(terminal(t, 20)))
	require.Zero(t, measure.Width(&strings.Builder{}))
	read, write, err := os.Pipe()
	require.NoError(t, err)
	require.Zero(t, measure.Width(write))
	require.NoError(t, read.Close())
	require.NoError(t, write.Close())
}
