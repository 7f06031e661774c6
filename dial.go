package peregrine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// Dial opens a session to the server at addr over an endpoint of its own, which
// Close closes, and waits until it is connected. The endpoint only calls: it
// refuses whoever would connect to it, also where it is open on all addresses of
// both families, as it is for a name, which may move, unless [WithTransport]
// says where. See [Endpoint.Dial] for addr, and for many sessions over one
// endpoint, which cost less.
func Dial(ctx context.Context, addr string, opts ...Option) (*Session, error) {
	o := newOptions(opts)
	if o.url != "" && o.open != nil {
		o.refuse("transport", "WithTransport and WithTransports contradict each other: keep one")
	}
	o.url = o.secrecy.split(o.url, o)
	anywhere := o.url == "" && o.open == nil
	if anywhere {
		o.url = anyURL(target{}) // until it is known where to
	}
	if err := errors.Join(o.check(), o.checkHost()); err != nil {
		return nil, err
	}
	t, err := parseTarget(ctx, addr)
	if err != nil {
		return nil, err
	}
	to, err := t.lookup(ctx, o.resolver)
	if err != nil {
		return nil, err
	}
	if anywhere {
		o.url = anyURL(t)
	}
	o.config.ClientOnly = true
	e, err := open(o)
	if err != nil {
		return nil, err
	}
	s, err := e.connect(ctx, t, to)
	if err != nil {
		e.Close()
		return nil, err
	}
	s.owner = true
	return s, nil
}

// anyURL is a UDP transport that can reach t, wherever its name may move to. The
// zero target may be anywhere.
func anyURL(t target) string {
	if t.name != "" || len(t.addrs) != 1 {
		return "udp://:0"
	}
	from := t.addrs[0]
	switch {
	case from.IsLoopback():
	case from.Is4():
		from = netip.IPv4Unspecified()
	default:
		from = netip.IPv6Unspecified()
	}
	return "udp://" + netip.AddrPortFrom(from, 0).String()
}

// Dial opens a session to the server at addr over this endpoint, and waits until
// it is connected, ctx ends, or it is clear that it will not be. Sessions of one
// loop to one address share a connection.
//
// addr is "host:port". The host is a name or an address; none, or a wildcard
// such as 0.0.0.0, means this host. All addresses of a name that the transport's
// family allows are tried, a quarter of a second after each other or once one
// has failed, and the first to answer is taken (RFC 8305). The error tells what
// became of each, and matches ctx's if that ended first. When the connection is
// lost the session seeks its server likewise, after another look at the name.
//
// On a loop of the endpoint, which it would wait for, it returns [ErrOnLoop].
func (e *Endpoint) Dial(ctx context.Context, addr string) (*Session, error) {
	switch {
	case len(e.loops) == 0:
		return nil, errNotOpen
	case e.here():
		return nil, ErrOnLoop
	}
	t, err := parseTarget(ctx, addr)
	if err != nil {
		return nil, err
	}
	to, err := t.lookup(ctx, e.resolver)
	if err != nil {
		return nil, err
	}
	return e.connect(ctx, t, to)
}

// attemptDelay is how long the attempt at one address has before that at the
// next begins beside it.
const attemptDelay = 250 * time.Millisecond

// connect tries the addresses until a session to one of them is connected.
func (e *Endpoint) connect(ctx context.Context, t target, to []netip.AddrPort) (*Session, error) {
	l := e.loops[int(e.next.Add(1)-1)%len(e.loops)]
	return l.race(ctx, t, to, e.lazy, func(s *Session) { s.follow(t) })
}

// attempt is a connection to one of a server's addresses, while it is sought.
type attempt struct {
	to      netip.AddrPort
	session *Session // owned by the loop until connected
	err     error
}

// race tries the addresses, one beside the other, until a session to one of them
// is connected, or only made if lazy. The loop calls taken with it, soon.
func (l *loop) race(ctx context.Context, t target, to []netip.AddrPort, lazy bool, taken func(*Session)) (*Session, error) {
	server := t.text
	attempts := make([]attempt, len(to))
	type outcome struct {
		of  int
		err error
	}
	outcomes := make(chan outcome, len(to))
	begin := func(i int) bool {
		a := &attempts[i]
		a.to = to[i]
		return l.post(message{do: func() {
			session, err := l.connect(a.to, t.host)
			if err != nil {
				outcomes <- outcome{i, err}
				return
			}
			a.session = newSession(l.endpoint, l, session)
			if lazy {
				outcomes <- outcome{i, nil}
				return
			}
			session.Ready(func(err error) { outcomes <- outcome{i, err} })
		}})
	}
	// The loop closes whatever is not taken, also what it has not begun yet.
	closeAllBut := func(winner int) {
		l.post(message{do: func() {
			for i := range attempts {
				switch s := attempts[i].session; {
				case s == nil:
				case i == winner:
					taken(s)
				default:
					s.session.Close()
				}
			}
		}})
	}
	if ctx.Err() != nil {
		return nil, &dialError{server, endOf(ctx), nil}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	begun, failed := 0, 0
	for failed < len(to) {
		select {
		case <-ctx.Done():
			closeAllBut(-1)
			return nil, &dialError{server, endOf(ctx), attempts[:begun]}
		case <-timer.C:
		case end := <-outcomes:
			if end.err == nil {
				closeAllBut(end.of)
				return attempts[end.of].session, nil
			}
			attempts[end.of].err = end.err
			failed++
		}
		if begun < len(to) {
			if !begin(begun) {
				return nil, errClosed
			}
			begun++
			timer.Reset(attemptDelay)
		}
	}
	closeAllBut(-1)
	return nil, &dialError{server, nil, attempts}
}

// connect begins a session to an address, of a server of this name if certificates tell.
func (l *loop) connect(to netip.AddrPort, name string) (*core.Session, error) {
	if err := dialable(to); err != nil {
		return nil, err
	}
	if !l.endpoint.byName {
		name = ""
	}
	return l.engine.ConnectAs(to, name)
}

// dialable says why to is no server's address.
func dialable(to netip.AddrPort) error {
	if addr := to.Addr(); addr.IsMulticast() || addr == broadcast {
		return &Error{Code: InvalidArgument, Message: fmt.Sprintf("%v stands for many hosts: dial the address of one", to)}
	}
	return nil
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// dialError says what became of each attempt.
type dialError struct {
	target   string
	ended    error // of the context, if that is why
	attempts []attempt
}

func (e *dialError) Error() string {
	text := "dial " + e.target + ": "
	var each []string
	for _, a := range e.attempts {
		became := "no answer yet"
		if a.err != nil {
			became = a.err.Error()
		}
		if to := a.to.String(); to != e.target || a.err == nil {
			became = to + ": " + became
		}
		each = append(each, became)
	}
	switch tried := strings.Join(each, "; "); {
	case e.ended == nil:
		return text + tried
	case tried == "":
		return text + e.ended.Error()
	default:
		return fmt.Sprintf("%s%v (%s)", text, e.ended, tried)
	}
}

func (e *dialError) Unwrap() []error {
	var errs []error
	if e.ended != nil {
		errs = append(errs, e.ended)
	}
	for _, a := range e.attempts {
		if a.err != nil {
			errs = append(errs, a.err)
		}
	}
	return errs
}

// endOf is why ctx has ended: its error, and its cause where that is another.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
