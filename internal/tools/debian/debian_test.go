package debian

import (
	"errors"
	"testing"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

// What apt says is of mmdebstrap and apt-get of Debian 12, where nothing listens at the archive's address.
func TestOnlyAnArchiveThatIsNotInReachIsNoFailure(t *testing.T) {
	t.Parallel()
	failed := errors.New("exit status 100")
	for said, skips := range map[string]bool{
		"E: Failed to fetch http://127.0.0.1:9/debian/dists/trixie/InRelease  Could not connect to 127.0.0.1:9 (127.0.0.1).\n":                                    true,
		"W: Failed to fetch http://127.0.0.1:9/debian/dists/bookworm/InRelease  Could not connect to 127.0.0.1:9\nE: Unable to locate package qemu-user-static\n": true,
		"E: Unable to locate package libdkdp-dev\n":                                 false,
		"dpkg: error processing package libdpdk-dev (--configure):\nE: Sub-process": false,
	} {
		err := OutOfReach(said, failed)
		if skip := steps.Skip(""); errors.As(err, &skip) != skips {
			t.Errorf("%v of %q", err, said)
		}
		if OutOfReach(said, nil) != nil {
			t.Errorf("success is none, with %q", said)
		}
	}
}
