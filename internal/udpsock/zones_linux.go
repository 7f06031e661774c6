package udpsock

import (
	"fmt"
	"net"
	"strconv"
)

// Zones remembers the names of interfaces that link-local peers are behind, for
// asking the kernel costs several system calls.
type Zones map[uint32]string

func (z Zones) name(scope uint32) string {
	if name, ok := z[scope]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(scope), 10)
	if i, err := net.InterfaceByIndex(int(scope)); err == nil {
		name = i.Name
	}
	z[scope] = name
	return name
}

// scopeOf turns the zone of a link-local address, the name or the number of an
// interface, into the kernel's number.
func scopeOf(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("zone %q is no interface of this host: %w", zone, err)
	}
	return uint32(i.Index), nil
}
