//go:build !dpdk

package dpdk

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Built says whether this program has DPDK.
const Built = false

func open(*Config, int, int) (transport.Transport, error) {
	return nil, fmt.Errorf("%w: this program was built without DPDK: install libdpdk 22.11 or later and pkg-config "+
		"(Debian: apt-get install libdpdk-dev pkg-config), and build it with CGO_ENABLED=1 and -tags dpdk", transport.ErrUnavailable)
}
