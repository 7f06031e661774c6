package pgrpc

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
)

// streamCarrier carries an RPC as a stream.
type streamCarrier struct {
	stream  *peregrine.Stream
	in      []byte // the last message received, if it is small
	out     []byte // likewise sent
	pending []byte
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
	l.serve(st, &serverRPC{carrier: &streamCarrier{stream: st}, at: l, remote: st.Peer(), tls: st.TLS()}, &o)
	return nil
}

func (c *streamCarrier) receive() ([]byte, error) {
	message, err := c.stream.Recv(c.in)
	if err != nil {
		return nil, err
	}
	if cap(message) <= maxScratch {
		c.in = message
	}
	return message, nil
}

func (c *streamCarrier) encode(of *coding, m any, limit int) (size sizes, err error) {
	c.pending, size, err = of.appendMessage(c.out[:0], m, limit)
	if cap(c.pending) <= maxScratch {
		c.out = c.pending
	}
	return size, err
}

func (c *streamCarrier) heading(encoding string, md metadata.MD) error {
	return c.stream.SendHeader(appendHeading(nil, encoding, md))
}

func (c *streamCarrier) flush() error {
	err := c.stream.Send(c.pending)
	c.pending = nil
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
