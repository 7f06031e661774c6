package pgrpc

import (
	"context"
	"encoding/binary"
	"io"

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
	joins   bool // the client is to know that this side has ableToJoin

	buf      *buffer // flags and message of the reply
	headed   bool
	encoding string
	header   metadata.MD
}

// handleRequest serves a unary call: of a target, or with the path in its opening.
func (l *listener) handleRequest(q peregrine.Request, of *target) {
	o, err := l.open(q.Data(), of)
	if err != nil {
		q.Fail(peregrine.Internal, malformed(err).Error())
		return
	}
	if o.desc != nil && (o.desc.ClientStreams || o.desc.ServerStreams) {
		q.Reply(byStream)
		return
	}
	r := &struct {
		serverRPC
		carrier requestCarrier
	}{carrier: requestCarrier{request: q, message: o.rest, joins: o.terms.joins()}}
	r.serverRPC.carrier, r.remote = &r.carrier, q.Peer()
	r.at, r.tls = l, q.TLS()
	l.serve(&r.carrier, &r.serverRPC, &o)
}

var byStream = []byte{replyByStream}

// Context is the request's.
func (c *requestCarrier) Context() context.Context { return c.request.Context() }

func (c *requestCarrier) receive() ([]byte, error) {
	if c.read {
		return nil, io.EOF
	}
	c.read = true
	return c.message, nil
}

func (c *requestCarrier) encode(of *coding, m any, limit int) (size sizes, err error) {
	if room := of.room(m); c.buf == nil {
		c.buf = newBufferFor(room)
	}
	c.buf.b, size, err = of.appendMessage(append(c.buf.b[:0], 0), m, limit)
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
	if c.buf == nil { // an error whose status is OK
		c.reply(c.ending(st, md))
		return
	}
	b := c.buf.b
	at := len(b)
	if c.encoding != "" || len(c.header) > 0 {
		b[0] |= replyHeading
		b = appendHeading(b, c.encoding, c.header)
	}
	if len(md) > 0 {
		b[0] |= replyTrailer
		b = appendMetadata(b, md, nil)
	}
	if b[0] != 0 { // else there is no rest
		b = binary.LittleEndian.AppendUint32(b, uint32(len(b)-at))
	}
	c.reply(b)
}

// maxPlain is how long a text the engine may be given.
const maxPlain = 256

func (c *requestCarrier) fail(st *status.Status, md metadata.MD) {
	if text := st.Message(); !c.headed && len(md) == 0 && len(text) <= maxPlain && plain(st.Code()) {
		c.request.Fail(peregrine.Code(st.Code()), valid(text))
		return
	}
	c.reply(c.ending(st, md))
}

// ending is a reply without a message.
func (c *requestCarrier) ending(st *status.Status, md metadata.MD) []byte {
	if c.buf == nil {
		c.buf = newBufferFor(0)
	}
	b := append(c.buf.b[:0], replyFailed)
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
	if c.joins {
		b[0] |= replyJoins
	}
	c.buf.b = b
	c.request.ReplyThen(b, c.buf.release)
}
