// Package stubs measures the same generated stubs over gRPC-Go and over Peregrine: the
// benchmark service of gRPC's own tests, as protoc-gen-go-grpc writes it, served and
// called by programs that differ in which connection the stubs are given.
package stubs
