package live

import (
	"context"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/peregrine-rpc/peregrine/flight"
	"github.com/peregrine-rpc/peregrine/metrics"
)

// Options say what is shown, and to whom.
type Options struct {
	metrics.Source
	// Token, if set, is what a browser has to show: once as ?token=, from then on in a
	// cookie; programs as "Authorization: Bearer". Without one only this host is
	// answered. Who has shown a client certificate that the server verified needs none.
	Token string
}

// Handler serves the page at "/", its data at "/state" and a flight recording at
// "/recording". Any goroutine may call its methods.
type Handler struct {
	options Options
	mux     *http.ServeMux
	lock    sync.Mutex // of state: one is made at a time, for all who look
	history history
	state   *State
}

//go:embed page.html page.css page.js
var files embed.FS

// New returns a Handler of an endpoint.
func New(o Options) *Handler {
	h := &Handler{options: o, mux: http.NewServeMux()}
	h.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "page.html") })
	for _, name := range []string{"page.css", "page.js"} {
		h.mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, name) })
	}
	h.mux.HandleFunc("GET /state", h.serveState)
	h.mux.HandleFunc("GET /recording", h.serveRecording)
	return h
}

// cookie holds the token.
const cookie = "peregrine_token"

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "no-store")
	switch {
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
	case h.options.Token == "":
		if !local(r) {
			http.Error(w, "without a token or a client certificate this page is for this host alone: come by http://127.0.0.1, or have the program set a token", http.StatusForbidden)
			return
		}
	case h.is(r.URL.Query().Get("token")):
		http.SetCookie(w, &http.Cookie{Name: cookie, Value: h.options.Token, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
		if r.URL.Path == "/" {
			head.Set("Location", "./") // so that it does not stay in the address; http.Redirect would not know the prefix
			w.WriteHeader(http.StatusSeeOther)
			return
		}
	case !h.shown(r):
		head.Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a token is needed: add ?token=...", http.StatusUnauthorized)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// is says whether a text is the token.
func (h *Handler) is(text string) bool {
	return subtle.ConstantTimeCompare([]byte(text), []byte(h.options.Token)) == 1
}

// shown says whether the request has the token.
func (h *Handler) shown(r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return h.is(bearer)
	}
	c, err := r.Cookie(cookie)
	return err == nil && h.is(c.Value)
}

// local says whether the request comes from this host and is meant for it. Another
// site's script could have a browser here ask under that site's name.
func local(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	return Loopback(r.Host)
}

// Loopback says whether a host, with or without a port, is this one by its name or
// address.
func Loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// fresh is how long a state is shown to all who ask.
const fresh = 900 * time.Millisecond

// now is the state, which nobody may change.
func (h *Handler) now(ctx context.Context) *State {
	h.lock.Lock()
	defer h.lock.Unlock()
	if h.state == nil || time.Since(h.history.at) > fresh {
		h.state = h.history.next(ctx, &h.options.Source)
	}
	return h.state
}

func (h *Handler) serveState(w http.ResponseWriter, r *http.Request) {
	state := h.now(r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(state) // who asked may have gone
}

func (h *Handler) serveRecording(w http.ResponseWriter, r *http.Request) {
	recording, err := flight.Take(r.Context(), h.options.Endpoint)
	if recording == nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+recording.Taken.UTC().Format("20060102T150405")+`.rec"`)
	_ = recording.Write(w)
}
