package pgrpc

import (
	"math"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// defaultReceived is how long a message may be by default, in bytes, that is received.
const defaultReceived = 4 << 20

// callInfo is what the options of a call say.
type callInfo struct {
	waitForReady      bool
	maxReceived       int // bytes
	maxSent           int
	creds             credentials.PerRPCCredentials
	encoding, subtype string
	codec             codec
	compressor        encoding.Compressor
	authority         string
}

// newCallInfo takes grpc's options by their types, since it alone can apply them. What
// it has for its own retries and for names that are known when the program is built is
// of no use here.
func newCallInfo(opts []grpc.CallOption) (callInfo, error) {
	c := callInfo{maxReceived: defaultReceived, maxSent: math.MaxInt32}
	name := ""
	for _, opt := range opts {
		switch o := opt.(type) {
		case grpc.FailFastCallOption:
			c.waitForReady = !o.FailFast
		case grpc.MaxRecvMsgSizeCallOption:
			c.maxReceived = o.MaxRecvMsgSize
		case grpc.MaxSendMsgSizeCallOption:
			c.maxSent = o.MaxSendMsgSize
		case grpc.PerRPCCredsCallOption:
			c.creds = o.Creds
		case grpc.CompressorCallOption:
			c.encoding = o.CompressorType
		case grpc.ContentSubtypeCallOption:
			c.subtype = o.ContentSubtype
		case grpc.ForceCodecCallOption:
			c.codec, name = codecV1{o.Codec}, o.Codec.Name()
		case grpc.ForceCodecV2CallOption:
			c.codec, name = o.CodecV2, o.CodecV2.Name()
		case grpc.CustomCodecCallOption:
			c.codec, name = codecV1{o.Codec}, ""
		case grpc.AuthorityOverrideCallOption:
			c.authority = o.Authority
		}
	}
	switch {
	case c.codec != nil && c.subtype == "":
		c.subtype = strings.ToLower(name)
	case c.codec != nil:
	case c.subtype == "":
		c.codec = codecNamed("proto")
	default:
		if c.codec = codecNamed(c.subtype); c.codec == nil {
			return c, status.Errorf(codes.Internal, "no codec registered for content-subtype %s", c.subtype)
		}
	}
	if c.encoding != "" && c.encoding != encoding.Identity {
		if c.compressor = encoding.GetCompressor(c.encoding); c.compressor == nil {
			return c, status.Errorf(codes.Internal, "grpc: Compressor is not installed for requested grpc-encoding %q", c.encoding)
		}
	}
	return c, nil
}
