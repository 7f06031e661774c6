package conformance

import (
	"errors"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// connect opens a session and waits until it is connected.
func (h *host) connect(to netip.AddrPort) *core.Session {
	h.s.Helper()
	var session *core.Session
	ready := make(chan error, 1)
	h.do(func() {
		var err error
		if session, err = h.engine.Connect(to); err != nil {
			ready <- err
			return
		}
		session.Ready(func(err error) { ready <- err })
	})
	select {
	case err := <-ready:
		if err != nil {
			h.s.Fatalf("no session to %v: %v", to, err)
		}
	case <-time.After(patience):
		h.s.Fatalf("no session to %v in %v\n%+v", to, patience, h.stats())
	}
	return session
}

// flight is a call under way.
type flight struct {
	core.Call
	host    *host
	session *core.Session
	landed  chan struct{} // closed when the call has completed
	times   int           // that it did; the loop's
}

// submit starts a call. After it has completed the request is scrawled over.
func (h *host) submit(session *core.Session, c core.Call) *flight {
	h.s.Helper()
	f := &flight{Call: c, host: h, session: session, landed: make(chan struct{})}
	f.Done = func(*core.Call) {
		if f.times++; f.times > 1 {
			h.wrong("a call completed %d times", f.times)
			return
		}
		if f.Buf == nil {
			f.Response = append([]byte(nil), f.Response...) // a view, perhaps
		}
		scrawl(f.Request)
		close(f.landed)
	}
	h.do(func() { session.Submit(&f.Call) })
	return f
}

// wait returns when the call has completed.
func (f *flight) wait() ([]byte, error) {
	f.host.s.Helper()
	select {
	case <-f.landed:
	case <-time.After(patience):
		f.host.s.Fatalf("a call did not complete in %v\n%+v", patience, f.host.stats())
	}
	return f.Response, f.Err
}

// fails waits for the call to fail with code, and returns the error.
func (f *flight) fails(code core.Code) *core.Error {
	f.host.s.Helper()
	_, err := f.wait()
	var failure *core.Error
	if !errors.As(err, &failure) || failure.Code != code {
		f.host.s.Fatalf("a call ended with %v; it must fail with %v", err, code)
	}
	return failure
}

// failsAs is fails for a call of which it is known whether it may have executed.
func (f *flight) failsAs(code core.Code, mayHaveExecuted bool) {
	f.host.s.Helper()
	if err := f.fails(code); err.MayHaveExecuted != mayHaveExecuted {
		f.host.s.Errorf("a call failed with %q and says %v on whether it may have executed; it must say %v", err, err.MayHaveExecuted, mayHaveExecuted)
	}
}

// underWay fails the test if the call has completed.
func (f *flight) underWay() {
	f.host.s.Helper()
	select {
	case <-f.landed:
		f.host.s.Fatalf("a call that nobody answered completed: %v", f.Err)
	default:
	}
}

// echoes makes a call of n bytes, which must come back.
func (h *host) echoes(session *core.Session, n int) {
	h.s.Helper()
	if err := h.tryEcho(session, n); err != nil {
		h.s.Fatalf("echo of %d bytes: %v", n, err)
	}
}

// tryEcho is echoes for when the call may fail.
func (h *host) tryEcho(session *core.Session, n int) error {
	h.s.Helper()
	seed := h.s.rand.Uint64()
	request := make([]byte, n)
	fill(request, seed)
	c := core.Call{Method: echo, Request: request}
	if seed&1 == 0 {
		c.Buf = make([]byte, 0, n)
	}
	response, err := h.submit(session, c).wait()
	if err != nil {
		return err
	}
	if len(response) != n || !filled(response, seed) {
		h.s.Fatalf("echo of %d bytes came back as %d others", n, len(response))
	}
	return nil
}

// reaches makes a call that must succeed in the end: a host that stalls for
// longer than the keep-alive is taken for dead, rightly.
func (h *host) reaches(session *core.Session) {
	h.s.Helper()
	var err error
	h.s.eventually(func() bool {
		err = h.tryEcho(session, 1000)
		return err == nil
	}, func() string { return err.Error() }, "a call reached the server")
}
