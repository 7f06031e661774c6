package core

import (
	_ "github.com/peregrine-rpc/peregrine/cc"
	_ "github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/wire"
)
