package grpcecho

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// frame is a message of bytes. It owns a reference to its buffer.
type frame struct{ buf mem.Buffer }

func newFrame(data []byte) *frame { return &frame{mem.SliceBuffer(data)} }

func (f *frame) data() []byte { return f.buf.ReadOnlyData() }

// free gives received memory back to gRPC.
func (f *frame) free() {
	f.buf.Free()
	f.buf = nil
}

// codec moves frames as they are.
type codec struct{}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "bytes" }

// Marshal hands the frame's reference to gRPC.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("grpcecho: cannot encode a %T", v)
	}
	return mem.BufferSlice{f.buf}, nil
}

// Unmarshal joins what arrived in pieces, in pooled memory: users get a message
// in one piece.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("grpcecho: cannot decode into a %T", v)
	}
	f.buf = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
