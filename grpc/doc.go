// Package pgrpc runs the services that protoc-gen-go-grpc generates over Peregrine,
// unchanged. A client passes a [ClientConn] where it passed a *grpc.ClientConn, and a
// server registers its services with a [Server]:
//
//	conn, err := pgrpc.NewClient("127.0.0.1:50051")
//	client := pb.NewGreeterClient(conn)
//
//	server := pgrpc.NewServer()
//	pb.RegisterGreeterServer(server, &greeter{})
//	err := server.Serve("udp://127.0.0.1:50051")
//
// What a generated stub's user sees is grpc-go's: metadata, codes and texts, deadlines,
// interceptors, compressors, codecs, statistics. What differs is in differences.md.
// Call options are grpc's own; dial and server options have the names of grpc's.
//
// Unary calls travel as requests and are as fast as those; all else travels as streams.
// Methods are the engine's by name, which is the path, so that none travels with calls.
//
// Options of the engine, such as peregrine.WithTLS, are given to [WithEngine] and to
// [Server.Listen]. Handlers find in peer.FromContext who a client has shown to be by its
// certificate, and credentials per call that require security travel over what is sealed.
package pgrpc
