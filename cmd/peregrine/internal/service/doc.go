// Package service is what `peregrine serve` offers and the measuring commands
// call.
//
//	1 echo        the reply is the request
//	2 upload      the request is dropped; the reply is its length and first 8 bytes
//	3 download    the request is a length and a seed (2 × 8 bytes); the reply is
//	              that much of a fixed pattern
//	4 statistics  the reply is what the server has used so far, as JSON
//	5 digest      the request is dropped; the reply is its length and CRC-32C
//
// All numbers are little-endian.
package service

// The methods.
const (
	Echo uint16 = 1 + iota
	Upload
	Download
	Statistics
	Digest
)
