package core

import (
	"context"
	"fmt"
)

// Code is the status of a call, in the numbers and meanings of gRPC's
// canonical codes, so that a gRPC layer can sit on top.
type Code uint8

// Status codes.
const (
	OK Code = iota
	Canceled
	Unknown
	InvalidArgument
	DeadlineExceeded
	NotFound
	AlreadyExists
	PermissionDenied
	ResourceExhausted
	FailedPrecondition
	Aborted
	OutOfRange
	Unimplemented
	Internal
	Unavailable
	DataLoss
	Unauthenticated
	numCodes
)

var codeNames = [numCodes]string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
	"PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
	"Internal", "Unavailable", "DataLoss", "Unauthenticated",
}

func (c Code) String() string {
	if c < numCodes {
		return codeNames[c]
	}
	return fmt.Sprintf("Code(%d)", uint8(c))
}

// Error is how a call fails.
type Error struct {
	Code    Code
	Message string
	// MayHaveExecuted says that the server may have run the handler. Where it
	// is false, calling again cannot execute the request twice.
	MayHaveExecuted bool
}

func (e *Error) Error() string {
	if e.MayHaveExecuted && e.Code == Unavailable {
		return fmt.Sprintf("%v: %s (the request may have executed)", e.Code, e.Message)
	}
	return fmt.Sprintf("%v: %s", e.Code, e.Message)
}

// Is makes errors.Is match errors of the same code: a target without a Message
// stands for all of its code. Canceled and DeadlineExceeded also match the
// errors of package context.
func (e *Error) Is(target error) bool {
	switch target {
	case context.Canceled:
		return e.Code == Canceled
	case context.DeadlineExceeded:
		return e.Code == DeadlineExceeded
	}
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}
