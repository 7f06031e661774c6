// Package quicecho is the measuring server and client of quic-go: messages with a length
// before them on streams that stay open, one for each call in flight, which is the fastest
// that its streams offer small calls.
package quicecho
