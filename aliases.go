package peregrine

import (
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Types of the engine that are part of this package's API.
type (
	// Call is one request and its completion, for Go and Submit.
	Call = core.Call
	// Code is the status of a call: gRPC's canonical codes.
	Code = core.Code
	// Error is how a call fails.
	Error = core.Error
	// Config holds an endpoint's limits.
	Config = core.Config
	// Stats are an endpoint's counters.
	Stats = core.Stats
	// ConfigError says which setting cannot be used, and what to write instead.
	ConfigError = transport.ConfigError
)

// ConnState is the state of a session's connection, in gRPC's names and meanings.
type ConnState = core.ConnState

// Connection states.
const (
	Idle             = core.Idle
	Connecting       = core.Connecting
	Ready            = core.Ready
	TransientFailure = core.TransientFailure
	Shutdown         = core.Shutdown
)

// CodeOf is the status that an error stands for: OK for nil, the Code of an
// [*Error] within it, that of context.Canceled and context.DeadlineExceeded, and
// Unknown for any other.
func CodeOf(err error) Code { return core.CodeOf(err) }

// Status codes.
const (
	OK                 = core.OK
	Canceled           = core.Canceled
	Unknown            = core.Unknown
	InvalidArgument    = core.InvalidArgument
	DeadlineExceeded   = core.DeadlineExceeded
	NotFound           = core.NotFound
	AlreadyExists      = core.AlreadyExists
	PermissionDenied   = core.PermissionDenied
	ResourceExhausted  = core.ResourceExhausted
	FailedPrecondition = core.FailedPrecondition
	Aborted            = core.Aborted
	OutOfRange         = core.OutOfRange
	Unimplemented      = core.Unimplemented
	Internal           = core.Internal
	Unavailable        = core.Unavailable
	DataLoss           = core.DataLoss
	Unauthenticated    = core.Unauthenticated
)
