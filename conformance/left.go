package conformance

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// requireNothingLeft looks, when the story is over and its transports are
// closed, for what was not there before.
func requireNothingLeft(t *testing.T, f Factory) {
	t.Helper()
	time.Sleep(time.Nanosecond) // opens the runtime's poller, which is nobody's leak
	goroutines := goleak.IgnoreCurrent()
	before := f.mostDescriptors()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		const promise = "Close releases everything"
		var err error
		var after []string
		for late := expires(); ; {
			err, after = goleak.Find(goroutines), f.descriptors()
			if err == nil && len(after) <= len(before) || late() {
				break
			}
		}
		require.NoError(t, err, promise)
		require.LessOrEqual(t, len(after), len(before), "%s: descriptors are %q, and were %q", promise, after, before)
		if f.Leaks != nil {
			require.Empty(t, f.Leaks(), promise)
		}
	})
}

// mostDescriptors is descriptors of several looks: threads of libraries close some
// to open them again at once.
func (f Factory) mostDescriptors() (most []string) {
	for range 5 {
		if open := f.descriptors(); len(open) > len(most) {
			most = open
		}
		time.Sleep(time.Millisecond)
	}
	return most
}

// descriptors names what this process has open, or nothing where the system does
// not tell.
func (f Factory) descriptors() []string {
	const dir = "/proc/self/fd/"
	open, _ := os.ReadDir(dir)
	var files []string
	for _, fd := range open {
		file, err := os.Readlink(dir + fd.Name())
		if err == nil && (f.Keeps == "" || !strings.HasPrefix(file, f.Keeps)) { // the folder itself is closed again
			files = append(files, file)
		}
	}
	return files
}
