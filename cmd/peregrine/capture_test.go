package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

func TestAServerRecordsWhatItsClientsAsk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f.pcapng")
	s := serveWith(t, "capture", "udp://127.0.0.1:0", "-w", path, "--snap", "128", "--loops", "2", "--until-eof")
	_, stderr, err := output(t, "ping", s.addr, "--count", "3", "--interval", "1ms", "--patience", "1m")
	require.NoError(t, err, stderr)
	require.Contains(t, s.end(t), "recorded ")
	require.Positive(t, recordedIn(t, path))
}

// recordedIn is how many packets are in a file.
func recordedIn(t *testing.T, path string) (packets int) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	r, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for {
		_, info, err := r.ReadPacketData()
		if err != nil {
			require.EqualError(t, err, "EOF")
			return packets
		}
		require.LessOrEqual(t, info.CaptureLength, 20+8+128)
		packets++
	}
}

func TestCaptureSaysWhatItCannotRecord(t *testing.T) {
	t.Parallel()
	for _, line := range []struct {
		args []string
		said string
	}{
		{nil, "-w"},
		{[]string{"-w", "f", "--files", "3"}, "--file-size"},
		{[]string{"-w", "f", "--peer", "nobody"}, "10.0.1.7"},
		{[]string{"-w", "f", "--method", "70000"}, "65535"},
		{[]string{"-w", "f", "--every", "0"}, "every"},
		{[]string{"-w", filepath.Join(t.TempDir(), "no", "folder"), "udp://127.0.0.1:0"}, "no such file"},
	} {
		_, stderr, err := output(t, append([]string{"capture"}, line.args...)...)
		require.Error(t, err)
		require.Contains(t, stderr, line.said)
	}
}
