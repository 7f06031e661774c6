package core

import "github.com/peregrine-rpc/peregrine/wire"

// Name gives a method a name, for clients who ask what number to use. A name must keep
// its number, and a number its name, as long as the endpoint lives: clients remember.
func (e *Endpoint) Name(name string, number uint16) {
	if e.names == nil {
		e.names = map[string]uint16{}
	}
	e.names[name] = number
	e.longestName = max(e.longestName, len(name))
}

// mayName says that a request of several packets can be for the number of a name.
func (e *Endpoint) mayName(method uint16, length uint32) bool {
	return method == wire.NamesMethod && int64(length) <= int64(e.longestName)
}

// tellNumber answers a request for which there is no handler: for the number of a
// name, or else of a method that there is not.
func (r *Request) tellNumber() {
	e := r.endpoint
	number, known := e.names[string(r.Data)]
	if !known || r.Method != wire.NamesMethod {
		r.refuse(Unimplemented, noMethod)
		return
	}
	e.stats.RequestsHandled++
	r.state = requestRunning
	r.Reply(wire.AppendNumber(nil, string(r.Data), number))
}
