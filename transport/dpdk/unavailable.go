//go:build !dpdk

package dpdk

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Built says whether this program has DPDK.
const Built = false

// cgoFlags are the flags in libdpdk's --cflags that cgo takes only if it is told to: on
// x86 since 23.11, and on arm64 as Debian builds it.
const cgoFlags = "-mrtm|-moutline-atomics"

func open(*Config, int, int) (transport.Transport, error) {
	return nil, fmt.Errorf("%w: this program was built without DPDK: install libdpdk 22.11 or later and pkg-config "+
		"(Debian: apt-get install libdpdk-dev pkg-config gcc), and build it with CGO_ENABLED=1, CGO_CFLAGS_ALLOW='%s' and -tags dpdk",
		transport.ErrUnavailable, cgoFlags)
}
