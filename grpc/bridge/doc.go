// Package bridge joins gRPC over HTTP/2 and gRPC over Peregrine: each RPC that comes in
// by one goes out by the other, with its messages, metadata, deadline, header, trailer
// and status. Messages are not decoded, so that a bridge needs to know no service.
//
// [Forward] is a handler for the methods that a server does not know, of either kind of
// server and to either kind of connection. [Handler] is ready-made for HTTP: ordinary
// gRPC and grpc-web before a Peregrine server.
package bridge
