// Package reference is a second implementation of the protocol: small, slow, and written from docs/wire.md alone. It shares
// no line with packages wire and core, so that where the two do not understand each other either the document or one of
// them is wrong. Sections (§) are the document's.
//
// It does what a peer must and no more: it finds no MTU, controls no congestion, learns no round trip, and follows no client
// to another address. It reads no clock and has no socket: who runs it says what arrived and when, and asks what to send.
package reference
