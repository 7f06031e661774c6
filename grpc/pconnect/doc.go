// Package pconnect carries the RPCs of connectrpc.com/connect/v2 over Peregrine, or any
// other connection and server of gRPC's. Generated code runs unchanged:
//
//	conn, err := pgrpc.NewClient(addr)
//	client := pingv1connect.NewPingServiceClient(connect.NewClient(pconnect.NewTransport(conn)))
//
//	services := connect.NewServer()
//	pingv1connect.RegisterPingServiceHandler(services, impl)
//	server := pgrpc.NewServer()
//	pconnect.Register(server, services)
//	err := server.Serve("udp://0.0.0.0:50051")
//
// On the way these are gRPC's RPCs, so that one side may be connect's and the other
// gRPC's. Codec and compression are those of gRPC's call options; [connect.CallInfo] has no
// sizes of messages.
package pconnect
