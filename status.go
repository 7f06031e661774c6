package peregrine

import "github.com/peregrine-rpc/peregrine/core"

// CodeOf is the status that an error stands for: OK for nil, the Code of an
// [*Error] within it, that of context.Canceled and context.DeadlineExceeded, and
// Unknown for any other.
func CodeOf(err error) Code { return core.CodeOf(err) }
