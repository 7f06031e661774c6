package peregrine

import (
	"fmt"
	"sync"

	"github.com/peregrine-rpc/peregrine/wire"
)

// names are the methods of an endpoint that have one, and the numbers that clients are
// told to use instead. A name keeps its number as long as the endpoint lives, and no
// other name ever has it, so that what clients know stays true.
type names struct {
	sync.RWMutex
	numbers map[string]uint16
	of      map[uint16]string
	taken   map[uint16]bool // by handlers of numbers
	next    uint16          // of a name, from the highest down
}

// HandleName sets the handler of a method that clients call by name, such as
// "pkg.Service/Method", as Handle does that of one that they call by number. Clients
// learn a number for the name once a connection, by [Session.Method], so that a name
// costs a request no more than a number.
func (e *Endpoint) HandleName(name string, h Handler, opts ...HandleOption) error {
	h, err := e.placed(h, opts)
	if err != nil {
		return err
	}
	number, err := e.number(name, h != nil)
	if err != nil || number == 0 {
		return err
	}
	return e.onLoops(func(l *loop) {
		l.handle(number, h)
		l.engine.Name(name, number)
	})
}

// HandleStreamName is HandleName for the streams of a method.
func (e *Endpoint) HandleStreamName(name string, h StreamHandler) error {
	h, err := e.placedStream(h)
	if err != nil {
		return err
	}
	number, err := e.number(name, h != nil)
	if err != nil || number == 0 {
		return err
	}
	return e.onLoops(func(l *loop) {
		l.handleStream(number, h)
		l.engine.Name(name, number)
	})
}

// MethodName is the name of a method of this endpoint, by the number that
// [Request.Method] says; "" if it has none. For an endpoint of [Dial] it is the server's, if
// the session has asked for its number: what metrics show of calls.
func (e *Endpoint) MethodName(number uint16) string {
	e.names.RLock()
	defer e.names.RUnlock()
	return e.names.of[number]
}

// number is that of a name; where it had none, one from now on if it needs one, else 0,
// which no name ever has.
func (e *Endpoint) number(name string, needs bool) (uint16, error) {
	if name == "" {
		return 0, &ConfigError{Key: "name", Problem: "a method's name is empty"}
	}
	n := &e.names
	n.Lock()
	defer n.Unlock()
	if number, known := n.numbers[name]; known || !needs {
		return number, nil
	}
	if n.numbers == nil {
		n.numbers, n.of, n.next = map[string]uint16{}, map[uint16]string{}, wire.NamesMethod-1
	}
	for n.taken[n.next] && n.next > 0 {
		n.next--
	}
	if n.next == 0 {
		return 0, &ConfigError{Key: "name", Problem: fmt.Sprintf("no number is left for method %q", name)}
	}
	number := n.next
	n.numbers[name], n.of[number] = number, name
	n.next--
	return number, nil
}

// learn notes the number that a server has for a name.
func (n *names) learn(number uint16, name string) {
	n.Lock()
	defer n.Unlock()
	if n.of == nil {
		n.of = map[uint16]string{}
	}
	n.of[number] = name
}

// take notes that a handler is set by number, unless a name has that.
func (n *names) take(number uint16) error {
	n.Lock()
	defer n.Unlock()
	if number == wire.NamesMethod {
		return &ConfigError{Key: "handler", Problem: fmt.Sprintf("method %d is the one that names are asked for at: use another number", number)}
	}
	if name, is := n.of[number]; is {
		return &ConfigError{Key: "handler", Problem: fmt.Sprintf("method %d is %q: use its name, or another number", number, name)}
	}
	if n.taken == nil {
		n.taken = map[uint16]bool{}
	}
	n.taken[number] = true
	return nil
}
