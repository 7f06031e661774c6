package bridge

import (
	"math"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"
)

// Options are those of [Handler].
type Options struct {
	// Origins are those whose pages may call by grpc-web, such as "https://example.com";
	// "*" is all of them. Without any, pages of the handler's own origin may.
	Origins []string
	// MaxMessage is how long messages of clients may be, in bytes; 0: 4 MiB.
	MaxMessage int
}

// Handler serves gRPC over HTTP/2, and grpc-web over HTTP/1.1 and 2, by RPCs over to.
// What is neither is answered with status 415. The http.Server has to speak HTTP/2; see
// [Protocols] for one without TLS.
func Handler(to grpc.ClientConnInterface, o Options) http.Handler {
	if o.MaxMessage == 0 {
		o.MaxMessage = 4 << 20
	}
	server := grpc.NewServer(
		grpc.UnknownServiceHandler(Forward(to)), grpc.ForceServerCodecV2(Codec()),
		grpc.MaxRecvMsgSize(o.MaxMessage), grpc.MaxSendMsgSize(math.MaxInt32),
	)
	return &handler{server, o}
}

// Protocols are HTTP/1.1 and HTTP/2 with and without TLS, for an http.Server.
func Protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

type handler struct {
	server  http.Handler
	options Options
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.allow(w, r)
	kind := r.Header.Get("Content-Type")
	switch {
	case r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "":
		w.WriteHeader(http.StatusNoContent)
	case strings.HasPrefix(kind, webType):
		serveWeb(h.server, w, r)
	case strings.HasPrefix(kind, grpcType):
		h.server.ServeHTTP(w, r)
	default:
		http.Error(w, "this is a gRPC bridge: the content type must be application/grpc or application/grpc-web",
			http.StatusUnsupportedMediaType)
	}
}

// allow lets pages of the origins call, as far as a browser has to be told.
func (h *handler) allow(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(h.options.Origins, origin) && !slices.Contains(h.options.Origins, "*") {
		return
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Methods", "POST")
	header.Set("Access-Control-Max-Age", "600")
	header.Set("Access-Control-Expose-Headers", "grpc-status, grpc-message, grpc-status-details-bin")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		header.Set("Access-Control-Allow-Headers", asked)
	}
}
