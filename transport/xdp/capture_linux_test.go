package xdp

import (
	"bufio"
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// capture starts tshark at an interface, and returns the fields of the first n
// packets that the filter lets through.
func (s side) capture(t *testing.T, tshark, filter string, n int, fields ...string) <-chan string {
	t.Helper()
	args := []string{"-n", "-l", "-i", s.name, "-f", filter, "-c", strconv.Itoa(n), "-a", "duration:30", "-T", "fields",
		"-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, tshark, args...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.space.Do(cmd.Start))
	said := bufio.NewScanner(stderr)
	for said.Scan() && !strings.HasSuffix(said.Text(), "Capture started.") {
	}
	packets := make(chan string, n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(packets)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			packets <- lines.Text()
		}
		for said.Scan() { // until it has ended
		}
		_ = cmd.Wait() // if it failed, packets are missing
	}()
	t.Cleanup(func() { cancel(); <-done })
	return packets
}
