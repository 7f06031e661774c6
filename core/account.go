package core

// account is what a client has of the limits that it shares with others: a connection, or
// all those of one certificate, so that nobody gets more by connecting more often.
type account struct {
	key           string // ""; of one connection
	connections   int
	sessions      int
	requests      int   // held, but those refused
	streaming     int   // streams open
	streamEntries int   // of tables of streams
	memory        int64 // of requests of several packets and of what streams hold, in bytes
}

// Accounts is what a packet.Security may know beside: which peers are one client.
type Accounts interface {
	// Account is the same for all connections of one client, by what packet.Conn has as
	// its Peer; "": this connection is a client of its own.
	Account(peer any) string
}

// newMux is that of a connection which is not made yet, or of a client that is not known.
func (e *Endpoint) newMux(name string) *mux {
	m := &mux{e: e, name: name}
	m.account = &m.own
	return m
}

const crowdedOut = "this certificate has as many connections as one client may have (peers)"

// join finds a client's account, now that it is known who it is, and ends the connection if
// it has too many.
func (m *mux) join() {
	e := m.e
	accounts, ok := e.cfg.Security.(Accounts)
	if !ok || m.conn.Dialed() {
		return
	}
	key := accounts.Account(m.conn.Peer())
	if key == "" {
		return
	}
	a := e.accounts[key]
	if a == nil {
		a = &account{key: key}
		e.accounts[key] = a
	}
	a.connections++
	e.accounted++
	m.account = a
	if !fair(int64(a.connections), int64(e.cfg.Peers-e.accounted)) {
		e.later(func() { m.close(crowdedOut) })
	}
}

// quit leaves a client's account.
func (m *mux) quit() {
	a := m.account
	if a == &m.own {
		return
	}
	a.connections--
	m.e.accounted--
	if a.connections == 0 {
		delete(m.e.accounts, a.key)
	}
}

// uncount notes that a request is over, or was refused.
func (m *mux) uncount() {
	m.requests--
	m.account.requests--
}
