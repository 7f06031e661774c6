// Package vectors is the behaviour vectors of docs/wire.md, as JSON that any language reads; section 13 says how.
package vectors

import _ "embed"

// Conversations is what an endpoint is told, and how it reacts.
//
//go:embed conversations.json
var Conversations []byte

// Arithmetic is the functions that the document defines, by examples.
//
//go:embed arithmetic.json
var Arithmetic []byte

// Sealed is datagrams sealed with given secrets, before and after an update of keys, made by another implementation of
// the same algorithms (Python's cryptography).
//
//go:embed sealed.json
var Sealed []byte
