package cc

import (
	_ "time"

	_ "github.com/peregrine-rpc/peregrine/wire" // want `cc may not import github.com/peregrine-rpc/peregrine/wire`
)
