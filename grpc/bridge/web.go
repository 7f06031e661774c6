package bridge

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// grpc-web is gRPC whose trailer is the last frame of the body, for browsers, which
// show no trailers of HTTP. See PROTOCOL-WEB.md of gRPC.
const (
	grpcType = "application/grpc"
	webType  = "application/grpc-web"
	textType = "application/grpc-web-text" // the body is in base64
	// trailerFrame is the flag of the last frame.
	trailerFrame = 0x80
)

// serveWeb has a server of gRPC answer a request of grpc-web.
func serveWeb(server http.Handler, w http.ResponseWriter, r *http.Request) {
	kind := r.Header.Get("Content-Type")
	text := strings.HasPrefix(kind, textType)
	subtype := strings.TrimPrefix(strings.TrimPrefix(kind, textType), webType)
	in := r.Clone(r.Context())
	in.Header.Set("Content-Type", grpcType+subtype)
	in.Header.Set("Te", "trailers")
	in.Header.Del("Content-Length")
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/2.0", 2, 0 // which the server asks for, and needs for trailers alone
	if text {
		in.Body = struct {
			io.Reader
			io.Closer
		}{&textReader{from: r.Body}, r.Body}
	}
	// A server may speak first, while the client still sends: by HTTP/1.1, too.
	http.NewResponseController(w).EnableFullDuplex()
	out := &webWriter{to: w, kind: kind, text: text, header: http.Header{}}
	server.ServeHTTP(out, in)
	out.finish()
}

// textReader decodes base64 in pieces that are each padded, as browsers may send it.
type textReader struct {
	from    io.Reader
	encoded []byte // less than a group of four
	decoded []byte
}

var errText = errors.New("the body is not base64")

func (t *textReader) Read(b []byte) (int, error) {
	for len(t.decoded) == 0 {
		var piece [4096]byte
		n, err := t.from.Read(piece[:])
		t.encoded = append(t.encoded, withoutBreaks(piece[:n])...)
		for len(t.encoded) >= 4 { // a group may be the last of a piece
			var group [3]byte
			size, err := base64.StdEncoding.Decode(group[:], t.encoded[:4])
			if err != nil {
				return 0, errText
			}
			t.decoded = append(t.decoded, group[:size]...)
			t.encoded = t.encoded[4:]
		}
		if len(t.decoded) == 0 && err != nil {
			if err == io.EOF && len(t.encoded) > 0 {
				return 0, io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	n := copy(b, t.decoded)
	t.decoded = t.decoded[n:]
	return n, nil
}

// withoutBreaks is text without ends of lines, in its own memory.
func withoutBreaks(text []byte) []byte {
	return slices.DeleteFunc(text, func(b byte) bool { return b == '\n' || b == '\r' })
}

// webWriter makes a response of gRPC one of grpc-web.
type webWriter struct {
	to     http.ResponseWriter
	kind   string
	text   bool
	header http.Header // as the server sees it
	began  bool
	sent   map[string]bool // keys that were sent as header
}

func (w *webWriter) Header() http.Header { return w.header }

func (w *webWriter) WriteHeader(code int) {
	if w.began {
		return
	}
	w.began, w.sent = true, map[string]bool{}
	trailers := map[string]bool{}
	for _, names := range w.header.Values("Trailer") {
		for name := range strings.SplitSeq(names, ",") {
			trailers[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	header := w.to.Header()
	for key, values := range w.header {
		if key == "Trailer" || trailers[key] || strings.HasPrefix(key, http.TrailerPrefix) {
			continue
		}
		header[key] = values
		w.sent[key] = true
	}
	header.Set("Content-Type", w.kind)
	header.Del("Content-Length")
	w.to.WriteHeader(code)
}

func (w *webWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !w.text {
		return w.to.Write(b)
	}
	_, err := io.WriteString(w.to, base64.StdEncoding.EncodeToString(b))
	return len(b), err
}

// Flush is what the server sends messages by.
func (w *webWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w.to).Flush()
}

// finish sends the trailer.
func (w *webWriter) finish() {
	w.WriteHeader(http.StatusOK)
	var lines []byte
	for _, key := range slices.Sorted(maps.Keys(w.header)) {
		name, is := strings.CutPrefix(key, http.TrailerPrefix)
		if !is && (w.sent[key] || key == "Trailer") {
			continue
		}
		for _, value := range w.header[key] {
			lines = fmt.Appendf(lines, "%s: %s\r\n", strings.ToLower(name), value)
		}
	}
	frame := binary.BigEndian.AppendUint32([]byte{trailerFrame}, uint32(len(lines)))
	if _, err := w.Write(append(frame, lines...)); err == nil {
		w.Flush()
	}
}
