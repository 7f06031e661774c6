package conformance

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/conformance/internal/remote"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Remote returns a factory whose far side lives in another process: a copy of
// the test binary that runs up to this very call, and lasts as long as t. The
// suites are still told here; what they do to a far transport is done there.
// Only that it does not burn its processor in Wait goes unseen.
//
// f's Open must do the same in both processes: what differs between two runs of
// a test, such as a temporary folder, has to be passed on by the environment. t
// must not be parallel.
func Remote(t *testing.T, f Factory) Factory {
	t.Helper()
	if orders, ok := os.LookupEnv(peerVariable); ok {
		if socket, ok := strings.CutPrefix(orders, remoteOrder); ok {
			f.serveRemote(t, socket)
		}
		return f // the RPC suite's: a process is one side as it is
	}
	far := startRemote(t)
	near, leaks := f.Open, f.Leaks
	f.Open = func(side Side, addr netip.AddrPort) (transport.Transport, error) {
		if side == Far {
			return far.Open(addr)
		}
		return near(side, addr)
	}
	f.Leaks = func() string {
		if leaks != nil {
			if left := leaks(); left != "" {
				return left
			}
		}
		if err := far.Broken(); err != nil {
			return err.Error()
		}
		return far.Left()
	}
	return f
}

// remoteOrder comes before the socket through which a far side is served.
const remoteOrder = "remote "

func startRemote(t *testing.T) *remote.Near {
	t.Helper()
	dir, err := os.MkdirTemp("", "peregrine") // t.TempDir's name is too long for a socket
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "remote")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	p, err := rerun{t.Name()}.start(remoteOrder + socket)
	require.NoError(t, err, "the far side's process does not start")
	t.Cleanup(p.kill)

	dialed := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { // ends Accept in any case
		select {
		case <-dialed:
		case <-p.ended:
		case <-time.After(patience):
		}
		listener.Close()
	})
	conn, err := listener.Accept()
	close(dialed)
	watch.Wait()
	if err != nil {
		p.kill()
		require.NoError(t, err, "the far side's process did not report in %v:\n%s", patience, &p.said)
	}
	far := remote.New(conn)
	t.Cleanup(func() {
		assert.NoError(t, far.Broken())
		far.Close()
		<-p.ended
		if t.Failed() {
			t.Logf("the far side's process said:\n%s", &p.said)
		}
	})
	return far
}

// serveRemote is all that t does in the far side's process.
func (f Factory) serveRemote(t *testing.T, socket string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	open := func(addr netip.AddrPort) (transport.Transport, error) { return f.Open(Far, addr) }
	require.NoError(t, remote.Serve(conn, open, f.leftHere()))
	t.SkipNow()
}

// leftHere returns a function that says what there is that was not there when
// it was first called: backends may keep something for all later transports.
func (f Factory) leftHere() func() string {
	var goroutines goleak.Option
	var before []string
	return func() string {
		if goroutines == nil {
			goroutines, before = goleak.IgnoreCurrent(), f.mostDescriptors()
			return ""
		}
		for late := expires(); ; {
			err, after := goleak.Find(goroutines), f.descriptors()
			switch {
			case err == nil && len(after) <= len(before):
				return ""
			case !late():
			case err != nil:
				return fmt.Sprintf("the far side's process: %v", err)
			default:
				return fmt.Sprintf("the far side's process has the descriptors %q, and had %q", after, before)
			}
		}
	}
}
