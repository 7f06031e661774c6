package main

import "github.com/peregrine-rpc/peregrine/transport"

// bindRaw binds a transport to the calling goroutine's thread, if that is pinned to a
// CPU, as the library's loops do.
func bindRaw(tr transport.Transport, cpu int) (release func(), err error) {
	if cpu == unpinned {
		return func() {}, nil
	}
	return transport.BindThread(tr)
}
