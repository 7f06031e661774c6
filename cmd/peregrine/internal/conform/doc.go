// Package conform checks an endpoint of any implementation against docs/wire.md: by the conversations of
// docs/wire/conversations.json, and by what the document says of every datagram.
package conform
