package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/live"
	"github.com/peregrine-rpc/peregrine/metrics"
)

// tokenVariable has the token where a command line would show it to everyone here.
const tokenVariable = "PEREGRINE_HTTP_TOKEN"

// httpFlags are those of a server that shows what it does.
type httpFlags struct {
	address string
	files   peregrine.TLSFiles
	top     bool
}

// on says whether anything is shown.
func (f *httpFlags) on() bool { return f.address != "" || f.top }

func (f *httpFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.address, "http", "", "show what the server does at this `address`, such as 127.0.0.1:9090, below /debug/peregrine/ (other than loopback: with --http-ca, or a token in "+tokenVariable+")")
	flags.StringVar(&f.files.Cert, "http-cert", "", "make it https, with the certificate in this PEM `file`")
	flags.StringVar(&f.files.Key, "http-key", "", "PEM `file` with the private key of --http-cert")
	flags.StringVar(&f.files.CA, "http-ca", "", "who looks must show a certificate of an authority in this PEM `file`, and then needs no token")
	flags.BoolVar(&f.top, "top", false, "answer peregrine top at the server's own address: this host, who has the token in "+tokenVariable+" if there is one, and clients with a certificate")
}

// leastToken is how long a token has to be that guards a port.
const leastToken = 16

func (f *httpFlags) check() error {
	if token := os.Getenv(tokenVariable); f.top && token != "" && len(token) < leastToken {
		return fmt.Errorf("--top: others may guess the token, so set %s to one of %d characters or more", tokenVariable, leastToken)
	}
	if f.address == "" {
		if f.files != (peregrine.TLSFiles{}) {
			return errors.New("--http-cert, --http-key and --http-ca are for --http: give that as well")
		}
		return nil
	}
	if f.files.CA != "" && f.files.Cert == "" {
		return errors.New("--http-ca: certificates are shown over https: give --http-cert and --http-key as well")
	}
	if _, _, err := net.SplitHostPort(f.address); err != nil {
		return fmt.Errorf("--http: %q is not host:port: write an address such as 127.0.0.1:9090", f.address)
	}
	if token := os.Getenv(tokenVariable); f.files.CA == "" && !live.Loopback(f.address) && len(token) < leastToken {
		return fmt.Errorf("--http: others reach %s, so set %s to a token of %d characters or more, or have them show certificates, by --http-cert, --http-key and --http-ca",
			f.address, tokenVariable, leastToken)
	}
	_, err := f.tls()
	return err
}

// tls is what the page is sealed by; nil: by nothing.
func (f *httpFlags) tls() (*tls.Config, error) {
	if f.files == (peregrine.TLSFiles{}) {
		return nil, nil
	}
	files := f.files
	files.Mutual = files.CA != ""
	return tlsOf(files, "http")
}

// tlsOf reads the files that flags with a prefix name.
func tlsOf(files peregrine.TLSFiles, prefix string) (*tls.Config, error) {
	config, err := files.Config()
	if wrong := (*peregrine.ConfigError)(nil); errors.As(err, &wrong) {
		return nil, fmt.Errorf("--%s: %s", strings.Replace(wrong.Key, "tls.", prefix+"-", 1), wrong.Problem)
	}
	return config, err
}

// options are what the page wants of its endpoint. kept says that a flight recorder
// is there already.
func (f *httpFlags) options(kept bool) (opts []peregrine.Option) {
	if f.on() {
		opts = append(opts, peregrine.WithMetrics())
		if !kept {
			opts = append(opts, peregrine.WithFlightRecorder(peregrine.FlightRecorder{}))
		}
	}
	return opts
}

// showing is where the page is.
const showing = "showing what it does at "

// serve serves the page until stop, and says where.
func (f *httpFlags) serve(e *peregrine.Endpoint, say func(format string, args ...any)) (stop func() error, err error) {
	page := live.New(live.Options{Source: metrics.Source{Endpoint: e}, Token: os.Getenv(tokenVariable)})
	if f.top {
		if err := page.Register(); err != nil {
			return nil, fmt.Errorf("--top: %w", err)
		}
	}
	if f.address == "" {
		return func() error { return nil }, nil
	}
	sealed, err := f.tls()
	if err != nil {
		return nil, err
	}
	at, err := net.Listen("tcp", f.address)
	if err != nil {
		return nil, fmt.Errorf("--http: %w", err)
	}
	const path = "/debug/peregrine/"
	mux := http.NewServeMux()
	mux.Handle(path, http.StripPrefix(path[:len(path)-1], page))
	mux.Handle("GET /{$}", http.RedirectHandler(path, http.StatusSeeOther))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, TLSConfig: sealed}
	scheme, run := "http", server.Serve
	if sealed != nil {
		scheme, run = "https", func(at net.Listener) error { return server.ServeTLS(at, "", "") }
	}
	done := make(chan error, 1)
	go func() { done <- run(at) }()
	say("%s%s://%s%s\n", showing, scheme, at.Addr(), path)
	return func() error {
		err := server.Close()
		if over := <-done; !errors.Is(over, http.ErrServerClosed) {
			err = errors.Join(err, over)
		}
		return err
	}, nil
}

// browser asks pages, by https as the flags for security say.
func browser(files peregrine.TLSFiles) (*http.Client, error) {
	if files == (peregrine.TLSFiles{}) {
		return http.DefaultClient, nil
	}
	sealed, err := tlsOf(files, "tls")
	if err != nil {
		return nil, err
	}
	// By HTTP/1: what a server says of a certificate, HTTP/2 keeps to itself.
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: sealed}}, nil
}

// get asks a page for its state, or something else beside it.
func get(ctx context.Context, by *http.Client, url, token string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return by.Do(request)
}
