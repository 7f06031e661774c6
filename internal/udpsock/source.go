package udpsock

import (
	"fmt"
	"net/netip"
)

// OnlySource says whether a socket that is open on one address can send from
// source.
func OnlySource(own, source netip.Addr) error {
	if source.WithZone("") != own.WithZone("") {
		return fmt.Errorf("%v is not the address of this transport, which is %v: open it on a wildcard to use others", source, own)
	}
	return nil
}
