package pgrpc

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
)

// frames takes messages apart where they have come joined.
type frames struct {
	joined bool
	rest   []byte
	held   bool // rest is to be returned: without joined it may be empty
}

// fill waits for what next returns.
func (f *frames) fill(from *peregrine.Stream) (err error) {
	if !f.held {
		f.rest, err = from.Next()
		f.held = err == nil
	}
	return err
}

// next returns the next message, valid until the next call.
func (f *frames) next(from *peregrine.Stream) (message []byte, err error) {
	if err := f.fill(from); err != nil {
		return nil, err
	}
	if message = f.rest; f.joined {
		message, f.rest, err = cutFrame(message)
	}
	f.held = f.joined && len(f.rest) > 0
	return message, err
}

// streamCarrier carries an RPC as a stream.
type streamCarrier struct {
	stream *peregrine.Stream
	in     frames
	joins  bool    // the client takes what is joined
	out    *buffer // the message that flush sends
}

// handleStream serves a stream, likewise.
func (l *listener) handleStream(st *peregrine.Stream, of *target) error {
	header, err := st.Header()
	if err != nil {
		return err
	}
	o, err := l.open(header, of)
	if err != nil {
		return &peregrine.Error{Code: peregrine.Internal, Message: malformed(err).Error()}
	}
	c := &streamCarrier{stream: st, in: frames{joined: o.joined}, joins: o.terms.joins()}
	if c.joins {
		st.Join()
	}
	l.serve(st, &serverRPC{carrier: c, at: l, remote: st.Peer(), tls: st.TLS()}, &o)
	return nil
}

func (c *streamCarrier) receive() ([]byte, error) { return c.in.next(c.stream) }

func (c *streamCarrier) encode(of *coding, m any, limit int) (size sizes, err error) {
	c.out = newBufferFor(of.room(m))
	c.out.b, size, err = of.appendFrame(c.out.b, m, limit)
	return size, err
}

func (c *streamCarrier) heading(encoding string, md metadata.MD) error {
	b := appendHeading(nil, encoding, md)
	if c.joins {
		b = append(b, ableToJoin)
	}
	return c.stream.SendHeader(b)
}

func (c *streamCarrier) flush() error {
	err := c.stream.Send(c.out.b)
	if err == nil { // else it may be in use
		c.out.free()
	}
	c.out = nil
	return err
}

func (c *streamCarrier) end(st *status.Status, md metadata.MD) {
	if st.Code() == codes.OK {
		if len(md) > 0 {
			c.stream.SetTrailer(appendEnding(nil, 0, "", md))
		}
		c.stream.End(nil)
		return
	}
	text := valid(st.Message())
	c.stream.SetTrailer(appendEnding(nil, uint32(st.Code()), text, md))
	code := peregrine.Unknown
	if st.Code() <= codes.Unauthenticated {
		code = peregrine.Code(st.Code())
	}
	c.stream.End(&peregrine.Error{Code: code})
}

// valid is a text with a mark for each byte that is no UTF-8, as grpc-go sends it.
func valid(text string) string {
	return strings.Map(func(r rune) rune { return r }, text)
}
