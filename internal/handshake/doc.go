// Package handshake drives the TLS 1.3 handshakes of sealed connections: bytes come in
// and go out, and in the end there are keys. [TLS] is a packet.Security.
//
// The handshake is crypto/tls's, by its QUICConn, which has no record layer and hands out
// secrets; how bytes travel is the packet layer's business.
//
// # Where it runs
//
// Beside the loop. A full handshake costs a server about as much as thousands of small
// RPCs, for which nobody on the loop should wait, and callbacks of a tls.Config
// such as GetCertificate may block. QUICConn runs a goroutine of its own in any case, and
// each of its methods waits until that needs something. So a handshake that has been
// given bytes has a goroutine for as long as it has something to do with them, and
// none in between; then it calls Wake, and the loop asks for what came of it. A test that needs order
// has it run where it is called, by [Config].Run.
package handshake
