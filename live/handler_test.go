package live_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/flight"
	"github.com/peregrine-rpc/peregrine/live"
	"github.com/peregrine-rpc/peregrine/metrics"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { http.DefaultClient.CloseIdleConnections() }))
}

// patient is for hosts that are busy with something else.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

// world is a server that a client has called, and its page.
func world(t *testing.T, token string) (page *httptest.Server, s *peregrine.Session) {
	t.Helper()
	watched := []peregrine.Option{patient, peregrine.WithMetrics(), peregrine.WithFlightRecorder(peregrine.FlightRecorder{})}
	server, err := peregrine.Listen("mem://127.0.0.1:0", append(watched,
		peregrine.WithHandler(1, func(r peregrine.Request) { r.Reply(r.Data()) }),
		peregrine.WithHandler(2, func(r peregrine.Request) { time.Sleep(3 * time.Millisecond); r.Fail(peregrine.NotFound, "no such key") }))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	s, err = peregrine.Dial(ctx, server.Addr().String(), peregrine.WithTransport("mem://127.0.0.1:0"), patient)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	for range 100 {
		_, err = s.Call(ctx, 1, []byte("hello"), nil)
		require.NoError(t, err)
	}
	_, err = s.Call(ctx, 2, nil, nil)
	require.Error(t, err)
	handler := live.New(live.Options{
		Source: metrics.Source{Endpoint: server, Methods: map[uint16]string{1: "echo", 2: "lookup"}}, Token: token,
	})
	mux := http.NewServeMux()
	mux.Handle("/debug/peregrine/", http.StripPrefix("/debug/peregrine", handler))
	page = httptest.NewServer(mux)
	t.Cleanup(page.Close)
	return page, s
}

func get(t *testing.T, client *http.Client, address string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer, string(body)
}

func TestTheStateIsWhatTheEndpointDoes(t *testing.T) {
	t.Parallel()
	page, _ := world(t, "")
	var s live.State
	for s.Held = true; s.Held; { // a loop that is not scheduled for long
		answer, text := get(t, page.Client(), page.URL+"/debug/peregrine/state")
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		s = live.State{}
		require.NoError(t, json.Unmarshal([]byte(text), &s))
	}
	require.Equal(t, "mem", s.Backend)
	require.Len(t, s.Methods, 2)
	require.Equal(t, "echo", s.Methods[0].Method)
	require.Equal(t, uint64(100), s.Methods[0].Total)
	require.Positive(t, s.Methods[0].Rate)
	require.Positive(t, s.Methods[0].P99)
	require.Equal(t, map[string]uint64{"NOT_FOUND": 1}, s.Methods[1].Failed)
	require.GreaterOrEqual(t, s.Methods[1].P50, 2800.0)
	require.Len(t, s.Peers, 1)
	require.Positive(t, s.Loops[0].LongTurns)
	require.GreaterOrEqual(t, s.Loops[0].LongestMicros, 2800.0)
	require.True(t, slices.ContainsFunc(s.Calls, func(c live.Call) bool { return c.Status == "NOT_FOUND" && c.Method == "lookup" }))
	require.Contains(t, s.Events[0].Text, "connected with the client")

	answer, recorded := get(t, page.Client(), page.URL+"/debug/peregrine/recording")
	require.Contains(t, answer.Header.Get("Content-Disposition"), ".rec")
	r, err := flight.Read(strings.NewReader(recorded))
	require.NoError(t, err)
	answered := slices.DeleteFunc(r.Loops[0].Events, func(e flight.Event) bool { return e.Kind != core.RequestAnswered })
	require.Len(t, answered, 101)
}

// What the page loads is here, and nothing of it is elsewhere.
func TestThePageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	page, _ := world(t, "")
	answer, html := get(t, page.Client(), page.URL+"/debug/peregrine/")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Contains(t, answer.Header.Get("Content-Security-Policy"), "default-src 'none'")
	for _, link := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if link[1] == "data:," {
			continue
		}
		require.NotContains(t, link[1], "/", "not beside the page")
		answer, text := get(t, page.Client(), page.URL+"/debug/peregrine/"+link[1])
		require.Equal(t, http.StatusOK, answer.StatusCode, link[1])
		require.NotRegexp(t, `https?://[^w]`, text)
	}
	answer, _ = get(t, page.Client(), page.URL+"/debug/peregrine/other")
	require.Equal(t, http.StatusNotFound, answer.StatusCode)
}

func TestWithoutATokenOnlyThisHostIsAnswered(t *testing.T) {
	t.Parallel()
	page, _ := world(t, "")
	state := page.URL + "/debug/peregrine/state"
	for _, host := range []string{"localhost:80", "[::1]:80", "127.0.0.1", "localhost"} {
		answer, _ := get(t, page.Client(), state, "Host", host)
		require.Equal(t, http.StatusOK, answer.StatusCode, host)
	}
	for _, host := range []string{"rebound.example", "10.0.0.1:9090", "localhost.example"} {
		answer, _ := get(t, page.Client(), state, "Host", host)
		require.Equal(t, http.StatusForbidden, answer.StatusCode, host)
	}
	elsewhere := httptest.NewRequest(http.MethodGet, "/state", nil)
	elsewhere.RemoteAddr, elsewhere.Host = "10.0.0.9:1234", "localhost"
	answer := httptest.NewRecorder()
	live.New(live.Options{}).ServeHTTP(answer, elsewhere)
	require.Equal(t, http.StatusForbidden, answer.Code)
	elsewhere.TLS = new(tls.ConnectionState) // who shows no certificate, or one that was not verified, is as strange
	answer = httptest.NewRecorder()
	live.New(live.Options{}).ServeHTTP(answer, elsewhere)
	require.Equal(t, http.StatusForbidden, answer.Code)
}

func TestAVerifiedCertificateIsAsGoodAsAToken(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "sixteen or more bytes"} {
		elsewhere := httptest.NewRequest(http.MethodGet, "https://server.example/", nil)
		elsewhere.RemoteAddr = "10.0.0.9:1234"
		elsewhere.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
		answer := httptest.NewRecorder()
		live.New(live.Options{Token: token}).ServeHTTP(answer, elsewhere)
		require.Equal(t, http.StatusOK, answer.Code)
	}
}

func TestATokenIsDemanded(t *testing.T) {
	t.Parallel()
	const token = "sixteen or more bytes"
	page, _ := world(t, token)
	base := page.URL + "/debug/peregrine/"
	for _, header := range [][]string{nil, {"Authorization", "Bearer wrong"}, {"Cookie", "peregrine_token=wrong"}} {
		answer, _ := get(t, page.Client(), base+"state", header...)
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	}
	answer, _ := get(t, page.Client(), base+"?token=wrong")
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	answer, _ = get(t, page.Client(), base+"state", "Authorization", "Bearer "+token, "Host", "server.example")
	require.Equal(t, http.StatusOK, answer.StatusCode)

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	defer browser.CloseIdleConnections()
	answer, html := get(t, browser, base+"?token="+url.QueryEscape(token))
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Empty(t, answer.Request.URL.RawQuery, "it does not stay in the address")
	require.Contains(t, html, "<!doctype html>")
	answer, _ = get(t, browser, base+"state")
	require.Equal(t, http.StatusOK, answer.StatusCode)
}
