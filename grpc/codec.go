package pgrpc

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the default codec
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// codec is an encoding.CodecV2, or what grpc's older kinds are made into.
type codec interface {
	Marshal(v any) (mem.BufferSlice, error)
	Unmarshal(data mem.BufferSlice, v any) error
}

// protobuf is grpc's own codec, whose work is done here without its intermediate
// buffers, unless a program has registered another one under its name.
var protobuf = encoding.GetCodecV2("proto")

// codecNamed finds a registered codec; nil: there is none.
func codecNamed(name string) codec {
	if c := encoding.GetCodecV2(name); c != nil {
		return c
	}
	if c := encoding.GetCodec(name); c != nil {
		return codecV1{c}
	}
	return nil
}

// codecV1 is a codec whose messages are slices.
type codecV1 struct {
	of interface {
		Marshal(v any) ([]byte, error)
		Unmarshal(data []byte, v any) error
	}
}

func (c codecV1) Marshal(v any) (mem.BufferSlice, error) {
	data, err := c.of.Marshal(v)
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

func (c codecV1) Unmarshal(data mem.BufferSlice, v any) error {
	return c.of.Unmarshal(data.Materialize(), v)
}

// coding is how messages of one direction of an RPC travel.
type coding struct {
	codec      codec
	encoding   string // of its messages; empty: none was named, and no byte says whether one is compressed
	compressor encoding.Compressor
	joined     bool // a stream's, with their length in front
}

// sizes are those of one message.
type sizes struct{ length, compressed int }

// appendMessage encodes m behind b. If it fails, b is as it was.
func (c *coding) appendMessage(b []byte, m any, limit int) ([]byte, sizes, error) {
	start := len(b)
	if c.encoding != "" {
		b = append(b, 0)
	}
	at := len(b)
	var err error
	switch {
	case m == nil:
	case c.compressor == nil && c.codec == protobuf:
		if b, err = appendProto(b, m); err != nil {
			return b[:start], sizes{}, err
		}
	default:
		data, err := c.codec.Marshal(m)
		if err != nil {
			return b[:start], sizes{}, status.Errorf(codes.Internal, "grpc: error while marshaling: %v", err.Error())
		}
		defer data.Free()
		length := data.Len()
		if c.compressor != nil && length > 0 {
			b[start] = 1
			if b, err = c.compress(b, data); err != nil {
				return b[:start], sizes{}, err
			}
			return checked(b, start, sizes{length, len(b) - at}, limit)
		}
		for _, buffer := range data {
			b = append(b, buffer.ReadOnlyData()...)
		}
	}
	return checked(b, start, sizes{len(b) - at, len(b) - at}, limit)
}

// appendFrame is appendMessage of a stream, whose messages may go joined.
func (c *coding) appendFrame(b []byte, m any, limit int) ([]byte, sizes, error) {
	if !c.joined {
		return c.appendMessage(b, m, limit)
	}
	start := len(b)
	b, size, err := c.appendMessage(append(b, 0, 0, 0, 0), m, limit)
	if err != nil {
		return b[:start], size, err
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-frameHead))
	return b, size, nil
}

// room is about how long m will be, if it is long, else less. It comes before m is
// encoded, which then takes its parts to be as long as they were.
func (c *coding) room(m any) int {
	if message := protoOf(m); message != nil && c.codec == protobuf && c.compressor == nil {
		return proto.Size(message) + frameHead + 1
	}
	return 0
}

func checked(b []byte, start int, size sizes, limit int) ([]byte, sizes, error) {
	switch {
	case uint64(size.length) > math.MaxUint32:
		return b[:start], size, status.Errorf(codes.ResourceExhausted, "grpc: message too large (%d bytes)", size.length)
	case size.compressed > limit:
		return b[:start], size, status.Errorf(codes.ResourceExhausted,
			"trying to send message larger than max (%d vs. %d)", size.compressed, limit)
	}
	return b, size, nil
}

func appendProto(b []byte, m any) ([]byte, error) {
	message := protoOf(m)
	if message == nil {
		return b, status.Errorf(codes.Internal,
			"grpc: error while marshaling: proto: failed to marshal, message is %T, want proto.Message", m)
	}
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, message)
	if err != nil {
		return b, status.Errorf(codes.Internal, "grpc: error while marshaling: %v", err.Error())
	}
	return out, nil
}

func protoOf(m any) proto.Message {
	switch m := m.(type) {
	case protoadapt.MessageV2: // which generated messages are as well
		return m
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(m)
	}
	return nil
}

// appender is an io.Writer to the end of a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func (c *coding) compress(b []byte, data mem.BufferSlice) ([]byte, error) {
	to := &appender{b}
	z, err := c.compressor.Compress(to)
	for i := 0; err == nil && i < len(data); i++ {
		_, err = z.Write(data[i].ReadOnlyData())
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return b, status.Errorf(codes.Internal, "grpc: error while compressing: %v", err.Error())
	}
	return to.b, nil
}

// side is who receives: grpc has another code for each where a compressor is missing.
type side bool

const (
	atClient side = false
	atServer side = true
)

// decode takes in a message that has arrived. data is the caller's again thereafter.
func (c *coding) decode(data []byte, m any, limit int, at side) (sizes, error) {
	compressed := false
	if c.encoding != "" {
		if len(data) == 0 || data[0] > 1 {
			return sizes{}, status.Error(codes.Internal, "grpc: received a message without a payload format")
		}
		compressed = data[0] == 1
		data = data[1:]
	}
	if len(data) > limit {
		return sizes{}, status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", len(data), limit)
	}
	size := sizes{len(data), len(data)}
	var buffers mem.BufferSlice
	switch {
	case compressed:
		if c.encoding == encoding.Identity {
			return size, status.Error(codes.Internal, "grpc: compressed flag set with identity or empty encoding")
		}
		if c.compressor == nil {
			code := codes.Internal
			if at == atServer {
				code = codes.Unimplemented
			}
			return size, status.Errorf(code, "grpc: Decompressor is not installed for grpc-encoding %q", c.encoding)
		}
		var err error
		if buffers, err = c.decompress(data, limit); err != nil {
			return size, err
		}
		size.length = buffers.Len()
	case c.codec == protobuf:
		message := protoOf(m)
		err := error(nil)
		if message == nil {
			err = fmt.Errorf("failed to unmarshal, message is %T, want proto.Message", m)
		} else {
			err = proto.Unmarshal(data, message)
		}
		return size, undecoded(err)
	case len(data) > 0:
		buffers = mem.BufferSlice{mem.Copy(data, mem.DefaultBufferPool())} // which a codec may keep
	}
	defer buffers.Free()
	return size, undecoded(c.codec.Unmarshal(buffers, m))
}

func undecoded(err error) error {
	if err == nil {
		return nil
	}
	return status.Errorf(codes.Internal, "grpc: failed to unmarshal the received message: %v", err)
}

func (c *coding) decompress(data []byte, limit int) (mem.BufferSlice, error) {
	r := mem.BufferSlice{mem.SliceBuffer(data)}.Reader()
	defer r.Close()
	from, err := c.compressor.Decompress(r)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "grpc: failed to decompress the message: %v", err)
	}
	if closer, ok := from.(io.Closer); ok {
		defer closer.Close()
	}
	if int64(limit) < math.MaxInt64 {
		from = io.LimitReader(from, int64(limit)+1)
	}
	out, err := mem.ReadAll(from, mem.DefaultBufferPool())
	if err != nil {
		out.Free()
		return nil, status.Errorf(codes.Internal, "grpc: failed to read decompressed data: %v", err)
	}
	if out.Len() > limit {
		out.Free()
		return nil, status.Errorf(codes.ResourceExhausted, "grpc: received message after decompression larger than max %d", limit)
	}
	return out, nil
}
