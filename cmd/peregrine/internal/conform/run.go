package conform

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// Result is how one conversation went.
type Result struct {
	Name    string `json:"name"`
	Section string `json:"section"`
	Rule    string `json:"rule"`
	// Fault is what was wrong; empty: nothing.
	Fault string `json:"fault,omitempty"`
	// Skipped says why it was not had; empty: it was.
	Skipped string `json:"skipped,omitempty"`
	// Once is what was wrong the first time, and not the second: a host that paused, or a network. Empty: nothing.
	Once string `json:"once,omitempty"`
}

// Server has every conversation that tests servers with the one at the far end of the lines that dial opens. It must
// answer method 1 with what it was sent and grant three sessions or more; nothing else is asked of it. A reaction may take
// as long as patience. Connections are sealed, unless sealing is nil.
func Server(dial func() (Line, error), sealing *Sealing, patience time.Duration, told func(Result)) error {
	conversations, err := Conversations("server", sealing != nil)
	if err != nil {
		return err
	}
	for i := range conversations {
		r, err := twice(func() (Result, error) {
			line, err := dial()
			if err != nil {
				return Result{}, err
			}
			defer line.Close()
			p := newPeer(line, dial, patience)
			p.sealing = sealing
			if i == 0 {
				if err := p.reach(); err != nil {
					return Result{}, err
				}
			}
			return p.converse(&conversations[i]), nil
		})
		if err != nil {
			return err
		}
		told(r)
	}
	return nil
}

// twice has a conversation that goes otherwise once more: what timing does, of a network or of a host that pauses, it does
// hardly twice, and a fault does it each time.
func twice(have func() (Result, error)) (Result, error) {
	first, err := have()
	if err != nil || first.Fault == "" {
		return first, err
	}
	second, err := have()
	if err == nil && second.Fault == "" {
		second.Once = first.Fault
	}
	return second, err
}

// reach says why no conversation at all can be had with a server.
func (p *peer) reach() error {
	if errors.Is(p.greet(&Hello{Cookie: "none"}, "retry"), errSilent) {
		return errors.New("no Hello is answered: is the server there?")
	}
	if p.sealing == nil {
		return nil
	}
	first := newPeer(p.line, p.dial, p.patience)
	first.sealing = p.sealing
	if r := first.converse(&Conversation{}); r.Fault != "" {
		return errors.New(r.Fault)
	}
	return nil
}

// Client has every conversation that tests clients with the one that comes to a line: it connects, calls method 1 again
// and again, one call after the other, and connects anew whenever its connection ends. A reaction may take as long as patience.
// Connections are sealed, unless sealing is nil.
func Client(line Line, sealing *Sealing, patience time.Duration, told func(Result)) error {
	conversations, err := Conversations("client", sealing != nil)
	if err != nil {
		return err
	}
	for i := range conversations {
		r, _ := twice(func() (Result, error) {
			p := newPeer(line, nil, patience)
			p.serving, p.sealing = true, sealing
			return p.converse(&conversations[i]), nil
		})
		told(r)
	}
	return nil
}

// converse goes through a conversation.
func (p *peer) converse(c *Conversation) Result {
	r := Result{Name: c.Name, Section: c.Section, Rule: c.Rule}
	p.checksum, p.streams = c.Checksum, c.Streams
	var left leftOut
	switch err := p.steps(c); {
	case errors.As(err, &left):
		r.Skipped = string(left)
	case err != nil:
		r.Fault = err.Error()
	}
	for range 2 {
		if p.connected {
			p.send(&Datagram{Type: "close", Code: 14})
		}
		if p.beside == nil {
			break
		}
		p.turn()
	}
	if p.other != nil {
		p.other.Close()
	}
	return r
}

func (p *peer) steps(c *Conversation) error {
	if c.Plain != "" && p.sealing != nil {
		return leftOut(c.Plain)
	}
	if !c.Manual {
		if err := p.connect(); err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
	}
	switch {
	case c.Streams && p.theirStreams == 0:
		return leftOut("it takes no streams")
	case c.KeepAlive > 0 && p.theirKeepAlive > c.KeepAlive:
		return leftOut(fmt.Sprintf("its keep_alive is longer than %d ms", c.KeepAlive))
	case c.Sessions > 0 && p.theirSessions > c.Sessions:
		return leftOut(fmt.Sprintf("it grants more than %d sessions", c.Sessions))
	}
	for i := range c.Steps {
		if err := p.step(&c.Steps[i]); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func (p *peer) step(s *Step) error {
	switch {
	case s.Send != nil:
		p.mark = len(p.events)
		for range max(1, s.Send.Times) {
			if err := p.send(s.Send); err != nil {
				return err
			}
		}
	case s.Expect != nil:
		return p.expect(s.Expect)
	case s.May != nil:
		err := p.expect(s.May)
		if errors.Is(err, errAbsent) {
			return leftOut(err.Error())
		}
		return err
	case s.Wait > 0:
		return p.wait(time.Duration(s.Wait) * time.Millisecond)
	case s.Never != nil:
		from := p.mark
		if err := p.alive(); err != nil {
			return err
		}
		if e := p.find(s.Never, from); e != nil {
			return fmt.Errorf("%s, which must not be", s.Never)
		}
	case s.Lose > 0:
		p.lose = s.Lose
	case s.Mute:
		p.mute = true
	case s.Resume:
		p.mute = false
		return p.acknowledge()
	case s.Another:
		if p.beside != nil {
			p.turn()
			return nil
		}
		first := p.side
		p.side, p.beside = newSide(), &first
		return p.connect()
	case s.Alive:
		return p.alive()
	case s.Ended:
		return p.ended()
	}
	return nil
}

func (p *peer) send(d *Datagram) error {
	line := p.line
	if d.Again {
		return line.Send(p.sent)
	}
	if d.Line == "other" {
		if p.other == nil {
			var err error
			if p.other, err = p.dial(); err != nil {
				return err
			}
		}
		line = p.other
	}
	if d.Type == "accept" && p.serving && p.sealing == nil {
		p.connected = true
	}
	first, more, err := p.messages(d.Messages)
	if err != nil {
		return err
	}
	if len(first) > 0 || more == nil {
		data, err := p.build(d, first)
		if err == nil {
			err = line.Send(data)
		}
		if err != nil {
			return err
		}
	}
	for _, message := range more {
		data, err := p.build(d, message)
		if err == nil {
			err = line.Send(data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) expect(want *Event) error {
	var e *event
	found, err := p.look(p.patience, func() bool {
		e = p.find(want, 0)
		return e != nil
	})
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s %w within %v", want, errAbsent, p.patience)
	}
	e.used = true
	if want.Same && !bytes.Equal(p.last[e.kind], e.data) {
		return fmt.Errorf("a %s that is another than the one before", e.kind)
	}
	if e.data != nil {
		p.last[e.kind] = e.data
	}
	if e.kind == "hello" && p.connected {
		p.connected = false // an attempt of its own
	}
	return nil
}

// connect makes the connection.
func (p *peer) connect() error {
	if p.serving {
		return p.accept()
	}
	if err := p.greet(&Hello{Cookie: "none"}, "retry"); err != nil {
		return err
	}
	if p.sealing == nil {
		return p.greet(nil, "accept")
	}
	if err := p.begin(); err != nil {
		return err
	}
	defer p.exchange.drive.Close()
	return p.agree()
}

// leftOut is why something is not asked of who is tested.
type leftOut string

func (e leftOut) Error() string { return string(e) }

// errAbsent is that what was expected is not there.
var errAbsent = errors.New("did not come")

// errSilent is that nothing was answered.
var errSilent = errors.New("silence")

// wait lets time pass, in which the peer is heard.
func (p *peer) wait(d time.Duration) error {
	pings := Datagram{Messages: []Message{{Kind: "ping"}}}
	for until := p.line.Now() + d; p.line.Now() < until; {
		if err := p.send(&pings); err != nil {
			return err
		}
		every := time.Duration(p.theirKeepAlive) * time.Millisecond / 4
		if _, err := p.look(max(every, time.Millisecond), func() bool { return false }); err != nil {
			return err
		}
	}
	return nil
}

// greet says Hello until it is answered.
func (p *peer) greet(hello *Hello, answer string) error {
	for until := p.line.Now() + p.patience; p.line.Now() < until; {
		if err := p.send(&Datagram{Type: "hello", Hello: hello}); err != nil {
			return err
		}
		found, err := p.look(again, func() bool { return p.find(&Event{Type: answer}, p.mark) != nil })
		if err != nil {
			return err
		}
		if found {
			return p.expect(&Event{Type: answer})
		}
		if e := p.find(&Event{Type: "refuse"}, p.mark); e != nil {
			return fmt.Errorf("it refuses: code %d, %s", e.code, wire.Printable(string(e.body)))
		}
	}
	return fmt.Errorf("%w: no %s came", errSilent, answer)
}

// accept is connect at the server's side.
func (p *peer) accept() error {
	if err := p.expect(&Event{Type: "hello"}); err != nil {
		return err
	}
	if err := p.send(&Datagram{Type: "retry"}); err != nil {
		return err
	}
	if _, err := p.look(p.patience, func() bool { return p.withCookie() != nil }); err != nil {
		return err
	}
	e := p.withCookie()
	if e == nil {
		return errors.New("it does not come again with the cookie of a Retry (§5)")
	}
	e.used = true
	p.last["hello"] = e.data
	if p.sealing == nil {
		return p.send(&Datagram{Type: "accept"})
	}
	if err := p.begin(); err != nil {
		return err
	}
	defer p.exchange.drive.Close()
	for e := e; e != nil; e = p.withCookie() { // one for each piece that came
		e.used = true
		if err := p.greeted(e.data); err != nil {
			return err
		}
	}
	return p.agree()
}

// withCookie finds a Hello that brings the cookie.
func (p *peer) withCookie() *event {
	for i := range p.events {
		if e := &p.events[i]; !e.used && e.kind == "hello" && bytes.Equal(e.body, p.cookie[:]) {
			return e
		}
	}
	return nil
}

// alive makes sure that the other side has dealt with all that it was sent, and that the connection is there still if
// there is one.
func (p *peer) alive() error {
	switch {
	case !p.connected && p.serving:
		return nil
	case !p.connected:
		return p.knock()
	case p.serving:
		number := p.next
		if err := p.send(&Datagram{Flags: []string{"ack_now"}, Messages: []Message{{Kind: "ping"}}}); err != nil {
			return err
		}
		if err := p.expect(&Event{Type: "acknowledged", Number: &number}); err != nil {
			return fmt.Errorf("whether it is still connected: %w", err)
		}
		_, err := p.look(pause, func() bool { return false })
		return err
	}
	p.barrier++
	session, sequence := uint16(2), p.barrier
	about := Place{Session: &session, Sequence: &sequence}
	ask := Message{Place: about, Kind: "request", Body: "616c697665"}
	if err := p.send(&Datagram{Messages: []Message{ask}}); err != nil {
		return err
	}
	if err := p.expect(&Event{Place: about, Type: "response", Body: ask.Body}); err != nil {
		return fmt.Errorf("whether it is still connected: %w", err)
	}
	return nil
}

// knock has a server answer a stranger, behind what came before.
func (p *peer) knock() error {
	line, err := p.dial()
	if err != nil {
		return err
	}
	defer line.Close()
	stranger := newPeer(line, p.dial, p.patience)
	stranger.sealing = p.sealing
	if err := stranger.greet(&Hello{Cookie: "none"}, "retry"); err != nil {
		return fmt.Errorf("whether it still serves: %w", err)
	}
	_, err = p.look(pause, func() bool { return false })
	return err
}

// ended makes sure that the other side knows nothing of the connection.
func (p *peer) ended() error {
	if p.serving {
		p.connected = false
		return p.expect(&Event{Type: "hello"})
	}
	ping := Message{Kind: "ping", Body: "00*16"}
	if err := p.send(&Datagram{Messages: []Message{ping}}); err != nil {
		return err
	}
	p.connected, p.numbers = false, newNumbers()
	if err := p.expect(&Event{Type: "reset"}); err != nil {
		return fmt.Errorf("whether it has forgotten the connection: %w", err)
	}
	return nil
}

// String names an event for people.
func (want *Event) String() string {
	text := want.Type
	if want.Code != nil {
		text += fmt.Sprintf(" with code %d", *want.Code)
	}
	if want.Executed != nil && !*want.Executed {
		text += ", not executed,"
	}
	if want.Number != nil {
		text += fmt.Sprintf(" of packet %d", *want.Number)
	}
	if want.Slot != nil {
		text += fmt.Sprintf(" in slot %d", *want.Slot)
	}
	if want.Sequence != nil {
		text += fmt.Sprintf(" of sequence %d", *want.Sequence)
	}
	if want.Line != "" {
		text += " at the other port"
	}
	return text
}
