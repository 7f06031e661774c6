package udp

import (
	_ "golang.org/x/sys/unix"

	_ "example.com/lib"                         // want `transport/udp may not import example.com/lib`
	_ "github.com/peregrine-rpc/peregrine/core" // want `transport/udp may not import github.com/peregrine-rpc/peregrine/core`
	_ "github.com/peregrine-rpc/peregrine/internal/ring"
	_ "github.com/peregrine-rpc/peregrine/transport"
)
