package peregrine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

var authority = testcert.New("authority")

func serverTLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{authority.Issue("localhost")}, ClientCAs: authority.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
	}
}

func clientTLS(name string) *tls.Config {
	c := &tls.Config{RootCAs: authority.Pool()}
	if name != "" {
		c.Certificates = []tls.Certificate{authority.Issue(name)}
	}
	return c
}

// whoami answers with the client's name, or "nobody".
func whoami(r peregrine.Request) { r.Reply([]byte(nameOf(r.TLS()))) }

func nameOf(state *tls.ConnectionState) string {
	if state == nil || len(state.VerifiedChains) == 0 {
		return "nobody"
	}
	return state.VerifiedChains[0][0].Subject.CommonName
}

func secureServer(t *testing.T, opts ...peregrine.Option) *peregrine.Endpoint {
	server, err := peregrine.Listen("udp://127.0.0.1:0", append(opts, peregrine.WithHandler(1, whoami))...)
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return server
}

// patiently bounds a test's waiting; a loaded machine may take its time.
func patiently(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func dialSecure(t *testing.T, server *peregrine.Endpoint, opts ...peregrine.Option) *peregrine.Session {
	s, err := peregrine.Dial(patiently(t), server.Addr().String(), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestAHandlerSeesWhoCallsByTLS(t *testing.T) {
	t.Parallel()
	server := secureServer(t, peregrine.WithTLS(serverTLS()))
	require.NoError(t, server.Handle(2, func(r peregrine.Request) {
		r = r.Defer()
		go whoami(r)
	}))
	require.NoError(t, server.HandleStream(3, func(st *peregrine.Stream) error { return st.Send([]byte(nameOf(st.TLS()))) }))
	for _, name := range []string{"alice", "bob", ""} {
		s := dialSecure(t, server, peregrine.WithTLS(clientTLS(name)))
		want := name
		if name == "" {
			want = "nobody"
		}
		for method := range uint16(2) {
			answer, err := s.Call(patiently(t), method+1, nil, nil)
			require.NoError(t, err)
			assert.Equal(t, want, string(answer))
		}
		st, err := s.Stream(patiently(t), 3, nil)
		require.NoError(t, err)
		answer, err := st.Recv(nil)
		require.NoError(t, err)
		assert.Equal(t, want, string(answer))
		_, err = st.Recv(nil)
		assert.ErrorIs(t, err, io.EOF)

		state := s.TLS()
		require.NotNil(t, state)
		assert.Equal(t, "localhost", state.PeerCertificates[0].Subject.CommonName)
	}
}

func TestAServerHasToHaveTheNameThatIsDialled(t *testing.T) {
	t.Parallel()
	server := secureServer(t, peregrine.WithTLS(serverTLS()))
	port := server.Addr().Port()
	for host, good := range map[string]bool{"127.0.0.1": true, "localhost": true, "elsewhere": false} {
		resolver := addresses{netip.MustParseAddr("127.0.0.1")}
		s, err := peregrine.Dial(patiently(t), fmt.Sprintf("%s:%d", host, port), peregrine.WithTLS(clientTLS("")), peregrine.WithResolver(resolver))
		if good {
			require.NoError(t, err, host)
			s.Close()
			continue
		}
		require.Error(t, err, host)
		assert.Equal(t, peregrine.Unauthenticated, peregrine.CodeOf(err))
		var verify *tls.CertificateVerificationError
		assert.ErrorAs(t, err, &verify)
		assert.ErrorContains(t, err, "certificate is valid for localhost, not elsewhere")
	}
}

// addresses resolves every name.
type addresses []netip.Addr

func (a addresses) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { return a, nil }

func TestAClientWithoutCredentialsNeverReachesAHandler(t *testing.T) {
	t.Parallel()
	config := serverTLS()
	config.ClientAuth = tls.RequireAndVerifyClientCert
	server := secureServer(t, peregrine.WithTLS(config))
	strange := clientTLS("")
	strange.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		certificate := testcert.New("stranger").Issue("mallory")
		return &certificate, nil
	}
	for _, config := range []*tls.Config{clientTLS(""), strange} {
		s, err := peregrine.Dial(patiently(t), server.Addr().String(), peregrine.WithTLS(config))
		if err == nil { // a client of TLS 1.3 is done before it is looked at
			_, err = s.Call(patiently(t), 1, nil, nil)
			s.Close()
		}
		require.Error(t, err)
	}
	assert.Zero(t, server.Stats().RequestsHandled)
}

func TestWhoSpeaksAnotherWayIsToldSo(t *testing.T) {
	t.Parallel()
	key, other := peregrine.PSK{1}, peregrine.PSK{2}
	for name, test := range map[string]struct {
		server, client []peregrine.Option
		want           string
	}{
		"plain client, TLS server": {
			[]peregrine.Option{peregrine.WithTLS(serverTLS())}, nil, "demands TLS",
		},
		"plain client, PSK server": {
			[]peregrine.Option{peregrine.WithPSK(key)}, nil, "demands a pre-shared key",
		},
		"TLS client, plain server": {
			nil, []peregrine.Option{peregrine.WithTLS(clientTLS(""))}, "plain text only",
		},
		"TLS client, PSK server": {
			[]peregrine.Option{peregrine.WithPSK(key)}, []peregrine.Option{peregrine.WithTLS(clientTLS(""))}, "demands a pre-shared key",
		},
		"another key": {
			[]peregrine.Option{peregrine.WithPSK(key)}, []peregrine.Option{peregrine.WithPSK(other)}, "pre-shared key",
		},
	} {
		server := secureServer(t, test.server...)
		_, err := peregrine.Dial(patiently(t), server.Addr().String(), test.client...)
		assert.ErrorContains(t, err, test.want, name)
	}
}

func TestWhoHasTheKeyGetsIn(t *testing.T) {
	t.Parallel()
	server := secureServer(t, peregrine.WithPSK(peregrine.PSK{1}, peregrine.PSK{2}))
	for _, key := range []peregrine.PSK{{1}, {2}} {
		s := dialSecure(t, server, peregrine.WithPSK(key))
		answer, err := s.Call(patiently(t), 1, nil, nil)
		require.NoError(t, err)
		assert.Equal(t, "nobody", string(answer), "a key has no name")
		assert.Nil(t, s.TLS())
	}
}

func TestAnAuthorizerDecidesWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	server := secureServer(t, peregrine.WithTLS(serverTLS()), peregrine.WithAuthorizer(func(a peregrine.Access) error {
		certificate := a.Certificate()
		switch {
		case certificate == nil:
			return &peregrine.Error{Code: peregrine.Unauthenticated, Message: "who are you?"}
		case a.Method == 1 || a.Name() == "public":
			return nil
		case certificate.Subject.CommonName != "admin":
			return errors.New("admins only")
		}
		return nil
	}))
	handled := make(chan string, 10)
	require.NoError(t, server.Handle(2, func(r peregrine.Request) {
		handled <- nameOf(r.TLS())
		r.Reply(nil)
	}, peregrine.Go(1)))
	require.NoError(t, server.HandleName("public", whoami))
	require.NoError(t, server.HandleStream(3, func(st *peregrine.Stream) error {
		handled <- nameOf(st.TLS())
		return nil
	}))
	for name, want := range map[string]peregrine.Code{"admin": peregrine.OK, "user": peregrine.PermissionDenied, "": peregrine.Unauthenticated} {
		s := dialSecure(t, server, peregrine.WithTLS(clientTLS(name)))
		_, err := s.Call(patiently(t), 2, nil, nil)
		assert.Equal(t, want, peregrine.CodeOf(err), "%q calls: %v", name, err)
		st, err := s.Stream(patiently(t), 3, nil)
		require.NoError(t, err)
		_, err = st.Recv(nil)
		if want == peregrine.OK {
			assert.ErrorIs(t, err, io.EOF)
		} else {
			assert.Equal(t, want, peregrine.CodeOf(err), "%q opens a stream: %v", name, err)
		}
		_, err = s.Method("public").Call(patiently(t), nil, nil)
		assert.Equal(t, name == "", err != nil, "%q calls public: %v", name, err)
	}
	for range 2 {
		assert.Equal(t, "admin", <-handled)
	}
	assert.Empty(t, handled)
}

// Whatever error an authorizer returns, nobody takes it for success.
func TestAnAuthorizersErrorIsARefusalWhateverItsCode(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		refusal error
		want    peregrine.Code
	}{
		"OK":           {&peregrine.Error{Code: peregrine.OK, Message: "no"}, peregrine.PermissionDenied},
		"an OK inside": {fmt.Errorf("no: %w", &peregrine.Error{}), peregrine.PermissionDenied},
		"Unknown":      {&peregrine.Error{Code: peregrine.Unknown, Message: "no"}, peregrine.Unknown},
		"no Error":     {fmt.Errorf("no: %w", context.DeadlineExceeded), peregrine.PermissionDenied},
	} {
		server := secureServer(t, peregrine.WithAuthorizer(func(peregrine.Access) error { return test.refusal }))
		require.NoError(t, server.HandleStream(2, func(*peregrine.Stream) error { return nil }))
		s := dialSecure(t, server)
		_, err := s.Call(patiently(t), 1, nil, nil)
		assert.Equal(t, test.want, peregrine.CodeOf(err), "%s: %v", name, err)
		st, err := s.Stream(patiently(t), 2, nil)
		require.NoError(t, err)
		_, err = st.Recv(nil)
		assert.Equal(t, test.want, peregrine.CodeOf(err), "%s, of a stream: %v", name, err)
		assert.ErrorContains(t, err, "no", name)
	}
}

// A callback that does not look at its context piles up no goroutines, whoever tries how often.
func TestCallbacksThatGoOnAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var inside atomic.Int32
	config := serverTLS()
	certificate := config.Certificates[0]
	config.Certificates = nil
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		inside.Add(1)
		<-release
		return &certificate, nil
	}
	server := secureServer(t, peregrine.WithTLS(config),
		peregrine.WithConfig(peregrine.Config{Handshakes: 1, ConnectTimeout: 10 * time.Millisecond}))
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := peregrine.Dial(ctx, server.Addr().String(), peregrine.WithTLS(clientTLS("")))
		cancel()
		require.Error(t, err)
	}
	assert.LessOrEqual(t, inside.Load(), int32(2), "one under way, and one that was given up")
	close(release)
}

func TestOneAddressHasOneNameAtATime(t *testing.T) {
	t.Parallel()
	server := secureServer(t, peregrine.WithTLS(serverTLS()))
	clients, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLS(clientTLS("")))
	require.NoError(t, err)
	t.Cleanup(func() { clients.Close() })
	s, err := clients.Dial(patiently(t), fmt.Sprintf("localhost:%d", server.Addr().Port()))
	require.NoError(t, err)
	_, err = clients.Dial(patiently(t), server.Addr().String())
	assert.Equal(t, peregrine.FailedPrecondition, peregrine.CodeOf(err))
	assert.ErrorContains(t, err, `as "localhost" already`)
	require.NoError(t, s.Close())
}

// files writes a certificate for name, its key and the authority, and says how to use them.
func files(t *testing.T, folder, name string) peregrine.TLSFiles {
	f := peregrine.TLSFiles{
		Cert: filepath.Join(folder, name+".pem"), Key: filepath.Join(folder, name+".key"), CA: filepath.Join(folder, "ca.pem"),
	}
	cert, key := testcert.PEM(authority.Issue(name))
	require.NoError(t, os.WriteFile(f.Cert, cert, 0o600))
	require.NoError(t, os.WriteFile(f.Key, key, 0o600))
	require.NoError(t, os.WriteFile(f.CA, authority.PEM(), 0o600))
	return f
}

func TestCertificatesComeFromFilesByURLAndConfiguration(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, c := files(t, folder, "localhost"), files(t, folder, "client")
	url := fmt.Sprintf("udp://127.0.0.1:0?tls_cert=%s&recv_buffer=1048576&tls_key=%s&tls_ca=%s&tls_mutual=true", s.Cert, s.Key, s.CA)
	yaml := fmt.Sprintf("transport: udp://127.0.0.1:0\ntls: {cert: %q, key: %q, ca: %q, mutual: true}\n", s.Cert, s.Key, s.CA)
	path := filepath.Join(folder, "server.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	file, err := peregrine.LoadConfig(path)
	require.NoError(t, err)
	for name, listen := range map[string]func(...peregrine.Option) (*peregrine.Endpoint, error){
		"URL":  func(opts ...peregrine.Option) (*peregrine.Endpoint, error) { return peregrine.Listen(url, opts...) },
		"yaml": file.Listen,
	} {
		server, err := listen(peregrine.WithHandler(1, whoami))
		require.NoError(t, err, name)
		for _, how := range []peregrine.Option{
			peregrine.WithTLSFiles(c),
			peregrine.WithTransport(fmt.Sprintf("udp://127.0.0.1:0?tls_cert=%s&tls_key=%s&tls_ca=%s", c.Cert, c.Key, c.CA)),
		} {
			session := dialSecure(t, server, how)
			answer, err := session.Call(patiently(t), 1, nil, nil)
			require.NoError(t, err, name)
			assert.Equal(t, "client", string(answer))
		}
		require.NoError(t, server.Close())
	}
}

func TestSecretsAreLoggedForWhoAsksForIt(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	f := files(t, folder, "localhost")
	log := filepath.Join(folder, "keys.log")
	server, err := peregrine.Listen(fmt.Sprintf("udp://127.0.0.1:0?tls_cert=%s&tls_key=%s&tls_key_log=%s", f.Cert, f.Key, log))
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	dialSecure(t, server, peregrine.WithTLS(clientTLS("")))
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	assert.Contains(t, string(text), "SERVER_TRAFFIC_SECRET_0 ")
	info, err := os.Stat(log)
	require.NoError(t, err)
	assert.Zero(t, info.Mode().Perm()&0o077, "nobody else reads it")
}

// A server with an authority that is not mutual takes it for what it says: clients that show a
// certificate are known by it, or refused.
func TestAnAuthorityInFilesVerifiesWhoShowsACertificate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	f := files(t, folder, "localhost")
	server := secureServer(t, peregrine.WithTLSFiles(f))
	for name, want := range map[string]string{"alice": "alice", "": "nobody"} {
		answer, err := dialSecure(t, server, peregrine.WithTLS(clientTLS(name))).Call(patiently(t), 1, nil, nil)
		require.NoError(t, err)
		assert.Equal(t, want, string(answer))
	}
	strange := clientTLS("")
	strange.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		certificate := testcert.New("stranger").Issue("mallory")
		return &certificate, nil
	}
	s, err := peregrine.Dial(patiently(t), server.Addr().String(), peregrine.WithTLS(strange))
	if err == nil { // a client of TLS 1.3 is done before it is looked at
		_, err = s.Call(patiently(t), 1, nil, nil)
		s.Close()
	}
	require.Error(t, err)
}

func TestCertificatesInFilesAreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	f := files(t, t.TempDir(), "localhost")
	server := secureServer(t, peregrine.WithTLSFiles(f))
	serial := func() string {
		config := clientTLS("")
		return dialSecure(t, server, peregrine.WithTLS(config)).TLS().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	assert.Equal(t, first, serial())
	require.NoError(t, os.WriteFile(f.Cert, []byte("half a certif"), 0o600))
	require.NoError(t, os.Chtimes(f.Cert, time.Time{}, time.Now().Add(time.Hour)))
	assert.Equal(t, first, serial(), "what is there does not fit: the former goes on")
	cert, key := testcert.PEM(authority.Issue("localhost"))
	require.NoError(t, os.WriteFile(f.Cert, cert, 0o600))
	require.NoError(t, os.WriteFile(f.Key, key, 0o600))
	require.NoError(t, os.Chtimes(f.Cert, time.Time{}, time.Now().Add(2*time.Hour)))
	assert.NotEqual(t, first, serial())
}

func TestKeysComeFromAFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "rack.psk")
	require.NoError(t, os.WriteFile(path, []byte("# the rack's\n"+strings.Repeat("0f", 32)+"\n"), 0o600))
	server, err := peregrine.Listen("udp://127.0.0.1:0?psk="+path, peregrine.WithHandler(1, whoami))
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	config := filepath.Join(folder, "client.yaml")
	require.NoError(t, os.WriteFile(config, []byte("transport: udp://127.0.0.1:0\npsk: "+path+"\n"), 0o600))
	file, err := peregrine.LoadConfig(config)
	require.NoError(t, err)
	clients, err := file.Listen()
	require.NoError(t, err)
	t.Cleanup(func() { clients.Close() })
	s, err := clients.Dial(patiently(t), server.Addr().String())
	require.NoError(t, err)
	_, err = s.Call(patiently(t), 1, nil, nil)
	require.NoError(t, err)
}

func TestSettingsOfSecurityThatCannotBeObeyed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	f := files(t, folder, "localhost")
	empty := filepath.Join(folder, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for want, listen := range map[string]func() (*peregrine.Endpoint, error){
		`key "tls.key": missing`: func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0?tls_cert=" + f.Cert)
		},
		`key "tls.cert": missing`: func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLSFiles(peregrine.TLSFiles{Key: f.Key}))
		},
		`key "tls.mutual": it needs ca`: func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLSFiles(peregrine.TLSFiles{Cert: f.Cert, Key: f.Key, Mutual: true}))
		},
		`"tls.key": missing: the certificate`: func() (*peregrine.Endpoint, error) {
			_, err := (&peregrine.TLSFiles{Cert: f.Cert}).Config()
			return nil, err
		},
		// Without ca all that the host trusts would do.
		`"tls.mutual": it needs ca, whose`: func() (*peregrine.Endpoint, error) {
			_, err := (&peregrine.TLSFiles{Cert: f.Cert, Key: f.Key, Mutual: true}).Config()
			return nil, err
		},
		`key "tls_mutual": "perhaps" is not a truth value`: func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0?tls_mutual=perhaps")
		},
		`key "psk": "" is no value`: func() (*peregrine.Endpoint, error) { return peregrine.Listen("udp://127.0.0.1:0?psk=") },
		"sealed in one way": func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLS(serverTLS()), peregrine.WithPSK(peregrine.PSK{1}))
		},
		"all zeros are no key": func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0", peregrine.WithPSK(peregrine.PSK{1}, peregrine.PSK{}))
		},
		"WithTLS(nil)": func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLS(nil))
		},
		`key "tls": MaxVersion`: func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLS(&tls.Config{MaxVersion: tls.VersionTLS12}))
		},
		`key "tls.ca": ` + empty + " has no certificate": func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLSFiles(peregrine.TLSFiles{CA: empty}))
		},
		`key "tls.key_log": open ` + folder: func() (*peregrine.Endpoint, error) {
			f := f
			f.KeyLog = folder
			return peregrine.Listen("udp://127.0.0.1:0", peregrine.WithTLSFiles(f))
		},
		"no such file": func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0?psk=" + filepath.Join(folder, "none"))
		},
		`key "psk": ` + empty + ": there is no key": func() (*peregrine.Endpoint, error) {
			return peregrine.Listen("udp://127.0.0.1:0?psk=" + empty)
		},
	} {
		e, err := listen()
		if !assert.ErrorContains(t, err, want) {
			if err == nil {
				e.Close()
			}
			continue
		}
		var wrong *peregrine.ConfigError
		assert.ErrorAs(t, err, &wrong, want)
	}
}

func TestAFileOfKeysThatAllMayReadIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("0f", 32)), 0o600))
	require.NoError(t, os.Chmod(path, 0o644))
	_, err := peregrine.LoadPSK(path)
	assert.ErrorContains(t, err, "chmod 600")
}

func TestPreSharedKeysAreRead(t *testing.T) {
	t.Parallel()
	hex, base64 := strings.Repeat("0f", 32), "Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDxA="
	keys, err := peregrine.ParsePSK([]byte("\n# now\n" + hex + "\r\n  " + base64 + " # next\n"))
	require.NoError(t, err)
	require.Len(t, keys, 2)
	assert.Equal(t, "PSK PSK [PSK PSK]", fmt.Sprintf("%v %x %+v", keys[0], keys[1], keys), "they are not for logs")
	for text, want := range map[string]string{
		"":                        "there is no key",
		"#" + hex:                 "there is no key",
		"\nhunter2":               "line 2: no key: write 64 hexadecimal digits",
		hex[1:] + "x":             "line 1: no key",
		strings.Repeat("0", 64):   "line 1: all zeros are no key",
		hex + "\n" + hex:          "line 2: the same key as before",
		strings.Repeat("a", 1e6):  "not a file of keys",
		strings.Repeat("0f", 31):  "line 1: no key",
		base64[:40] + "\n" + hex:  "line 1: no key",
		hex + " " + hex:           "line 1: no key",
		"\x00\xff" + hex + "\x00": "line 1: no key",
	} {
		_, err := peregrine.ParsePSK([]byte(text))
		if assert.ErrorContains(t, err, want) && len(text) > 10 && len(text) < 1000 {
			assert.NotContains(t, err.Error(), strings.TrimSpace(text[:10]), "it shows nothing of a key")
		}
	}
}

func FuzzParsePSK(f *testing.F) {
	f.Add([]byte(strings.Repeat("0f", 32)))
	f.Add([]byte("Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDxA= # base64"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := peregrine.ParsePSK(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatal(keys, err)
		}
	})
}
