package xdp

import (
	"strings"

	"golang.org/x/sys/unix"
)

// missing names the capabilities that the calling thread lacks of those that this
// backend takes; empty if it has them all.
func missing() string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return ""
	}
	has := func(capability int) bool { return data[capability/32].Effective>>(capability%32)&1 != 0 }
	var names []string
	for _, c := range []struct {
		name string
		has  bool
	}{
		{"CAP_NET_ADMIN", has(unix.CAP_NET_ADMIN)},
		{"CAP_NET_RAW", has(unix.CAP_NET_RAW)},
		{"CAP_BPF", has(unix.CAP_BPF) || has(unix.CAP_SYS_ADMIN)},
	} {
		if !c.has {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, " and ")
}
