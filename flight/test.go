package flight

import (
	"context"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine"
)

// Tester is what OnFailure needs of a *testing.T.
type Tester interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	ArtifactDir() string
}

// OnFailure has a test that fails log what happened at an endpoint that was opened
// with peregrine.WithFlightRecorder, and save it among the test's artifacts. Call it
// after the endpoint's own Cleanup was registered, so that it is open still.
func OnFailure(t Tester, e *peregrine.Endpoint) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, err := Take(ctx, e)
		if r == nil {
			t.Logf("nothing was recorded: %v", err)
			return
		}
		path, err := r.Save(t.ArtifactDir())
		if err != nil {
			t.Logf("the recording cannot be saved: %v", err)
		}
		var text strings.Builder
		_ = r.Explain(&text, Choice{})
		t.Logf("%s\nrecorded in %s", text.String(), path)
	})
}
