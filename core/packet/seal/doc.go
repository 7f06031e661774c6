// Package seal protects packets with the keys that a handshake left: authenticated
// encryption as QUIC does it (RFC 9001, sections 5 and 6).
//
// [Keys] are what one side of a connection has: a key for each direction, which are
// updated long before an attacker could learn anything from how often they were used.
// Keys come from secrets, one for each direction, by HKDF with the labels of TLS 1.3 and
// QUIC, so that the RFC's own test vectors hold here. The header of a datagram is
// authenticated with it, and its number is the nonce.
//
// What is not as in QUIC: the header is not encrypted, since it names the connection
// anyway, and with its number in the clear a receiver tells duplicates before it
// opens them; and only clients begin updates of keys.
//
// The package is deterministic: no clock, no chance, no goroutine. Sealing and opening
// allocate nothing; an update does.
package seal
