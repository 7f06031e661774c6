// Package wire encodes and decodes Peregrine's datagrams. docs/wire.md is its
// specification; the test vectors there are this package's tests.
//
// A datagram is a [Header], with an optional checksum and acknowledgement
// block, followed by messages (types Data) or by one control body (the
// handshake, Reset, Close). All integers are little-endian.
//
// Decoding never allocates, panics or reads past the slice it was given; what
// it returns are views of that slice.
package wire
