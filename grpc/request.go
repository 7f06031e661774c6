package pgrpc

import (
	"context"
	"encoding/binary"
	"io"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
)

// requestCarrier carries a unary RPC as a request and its reply.
type requestCarrier struct {
	request peregrine.Request
	message []byte
	read    bool

	buf      *[]byte // flags, and the message of the reply
	headed   bool
	encoding string
	header   metadata.MD
}

var replies = sync.Pool{New: func() any { return new([]byte) }}

// handleRequest serves a unary call.
func (s *Server) handleRequest(q peregrine.Request) {
	o, err := s.open(q.Data())
	if err != nil {
		q.Fail(peregrine.Internal, malformed(err).Error())
		return
	}
	service, desc, unfound := s.find(o.method)
	if desc != nil && (desc.ClientStreams || desc.ServerStreams) {
		q.Reply(byStream)
		return
	}
	c := &requestCarrier{request: q, message: o.rest, buf: replies.Get().(*[]byte)}
	r := &serverRPC{carrier: c, method: o.method, terms: o.terms, desc: desc, peer: newPeer(q.Peer(), s.local())}
	r.ctx, r.cancel = context.WithCancel(q.Context())
	s.serve(r, service, o.md, unfound)
}

var byStream = []byte{replyByStream}

func (c *requestCarrier) receive() ([]byte, error) {
	if c.read {
		return nil, io.EOF
	}
	c.read = true
	return c.message, nil
}

func (c *requestCarrier) encode(of *coding, m any, limit int) (size sizes, err error) {
	*c.buf, size, err = of.appendMessage(append((*c.buf)[:0], 0), m, limit)
	return size, err
}

func (c *requestCarrier) heading(encoding string, md metadata.MD) error {
	c.headed, c.encoding, c.header = true, encoding, md
	return nil
}

func (c *requestCarrier) flush() error {
	if c.request.Canceled() {
		return context.Canceled
	}
	return nil
}

func (c *requestCarrier) end(st *status.Status, md metadata.MD) {
	if st.Code() != codes.OK {
		c.fail(st, md)
		return
	}
	b := *c.buf
	if len(b) == 0 { // an error whose status is OK
		c.reply(c.ending(st, md))
		return
	}
	at := len(b)
	if c.encoding != "" || len(c.header) > 0 {
		b[0] |= replyHeading
		b = appendHeading(b, c.encoding, c.header)
	}
	if len(md) > 0 {
		b[0] |= replyTrailer
		b = appendMetadata(b, md, nil)
	}
	if b[0] != 0 {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(b)-at))
	}
	c.reply(b)
}

// maxPlain is how long a text the engine may be given.
const maxPlain = 256

func (c *requestCarrier) fail(st *status.Status, md metadata.MD) {
	if text := st.Message(); !c.headed && len(md) == 0 && len(text) <= maxPlain && plain(st.Code()) {
		c.request.Fail(peregrine.Code(st.Code()), valid(text))
		c.free()
		return
	}
	c.reply(c.ending(st, md))
}

// ending is a reply without a message.
func (c *requestCarrier) ending(st *status.Status, md metadata.MD) []byte {
	b := append((*c.buf)[:0], replyFailed)
	if c.headed {
		b[0] |= replyHeading
		b = appendHeading(b, c.encoding, c.header)
	}
	return appendEnding(b, uint32(st.Code()), valid(st.Message()), md)
}

// plain codes may travel as the engine's own, which then counts them as what they are.
func plain(c codes.Code) bool {
	switch c {
	case codes.Canceled, codes.DeadlineExceeded, codes.Unavailable:
		return false
	}
	return c <= codes.Unauthenticated
}

func (c *requestCarrier) reply(b []byte) {
	*c.buf = b
	c.request.ReplyThen(b, c.free)
}

// free keeps the reply's memory for another.
func (c *requestCarrier) free() {
	if cap(*c.buf) <= maxKept {
		*c.buf = (*c.buf)[:0]
		replies.Put(c.buf)
	}
}
