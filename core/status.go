package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/peregrine-rpc/peregrine/wire"
)

// Code is the status of a call, in the numbers and meanings of gRPC's
// canonical codes, so that a gRPC layer can sit on top.
type Code uint8

// Status codes. The engine itself answers with those that say so; the others are
// for handlers, with gRPC's meanings.
const (
	OK                 Code = iota // no error
	Canceled                       // the caller gave up, or closed the session (the engine's)
	Unknown                        // an error without a code, or with one that there is not
	InvalidArgument                // the request is wrong, whatever the state of the server
	DeadlineExceeded               // no response in time (the engine's)
	NotFound                       // what the request names is not there
	AlreadyExists                  // what the request would make is there
	PermissionDenied               // the caller may not
	ResourceExhausted              // a bound was met: slots, queue, memory, length of a message (the engine's)
	FailedPrecondition             // the state of the server does not allow it; trying again does not help (the engine's)
	Aborted                        // a conflict with others; try again from the start
	OutOfRange                     // beyond the end of what is there
	Unimplemented                  // no handler of that method (the engine's)
	Internal                       // the handler broke its promise: panic, or no reply (the engine's)
	Unavailable                    // no connection, or it was lost; try again (the engine's)
	DataLoss                       // what was stored is lost or damaged, or a response (the engine's)
	Unauthenticated                // the caller has not said who it is
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
	// Cause is the error below, where there is one: of a server that could not
	// be reached it matches [syscall.ECONNREFUSED] and others of
	// [transport.Unreachable]. errors.Is and errors.As find it.
	Cause error
}

// Error is the code and the message, which may be the peer's: quoted if a terminal
// might obey it. Message itself is as it came.
func (e *Error) Error() string {
	if e.MayHaveExecuted && e.Code == Unavailable {
		return fmt.Sprintf("%v: %s (the request may have executed)", e.Code, wire.Printable(e.Message))
	}
	return fmt.Sprintf("%v: %s", e.Code, wire.Printable(e.Message))
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

// Unwrap returns the Cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf is the code of the first *Error that err wraps: OK for nil, Canceled
// and DeadlineExceeded for the errors of package context, Unknown for any other.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	}
	return Unknown
}

// failing is code if calls may fail with it, else Unknown.
func failing(code uint8) Code {
	if c := Code(code); c > OK && c < numCodes {
		return c
	}
	return Unknown
}

// responseError is the failure that a response's code and body say. Of one with
// a code that there is not, nothing is believed.
func responseError(code uint8, message string) *Error {
	status, executed := code&^wire.NotExecuted, code&wire.NotExecuted == 0
	err := &Error{Code: failing(status), Message: message, MayHaveExecuted: executed}
	if err.Code != Code(status) {
		err.MayHaveExecuted = true
	}
	return err
}
