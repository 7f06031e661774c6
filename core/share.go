package core

import "container/heap"

// greed is how much of a limit one client may have, in multiples of what is left
// of it: alone nearly all, and what is left is there for the others.
const greed = 8

// fair says whether a client may have more of a limit.
func fair(own, left int64) bool { return own < greed*left }

// ranking is clients as a heap, with the one that has the most of something on top.
type ranking struct {
	clients []*mux
	has     func(*mux) int64
	place   func(*mux) *int // 1 + where it is in clients; 0: it is not there
}

func (r *ranking) Len() int           { return len(r.clients) }
func (r *ranking) Less(i, j int) bool { return r.has(r.clients[i]) > r.has(r.clients[j]) }

func (r *ranking) Swap(i, j int) {
	c := r.clients
	c[i], c[j] = c[j], c[i]
	*r.place(c[i]), *r.place(c[j]) = i+1, j+1
}

func (r *ranking) Push(x any) {
	m := x.(*mux)
	r.clients = append(r.clients, m)
	*r.place(m) = len(r.clients)
}

func (r *ranking) Pop() any {
	n := len(r.clients) - 1
	m := r.clients[n]
	r.clients[n] = nil
	r.clients = r.clients[:n]
	*r.place(m) = 0
	return m
}

// first is the client that has the most; nil: there is none.
func (r *ranking) first() *mux {
	if len(r.clients) == 0 {
		return nil
	}
	return r.clients[0]
}

// hoarders are the clients whose requests of several packets are arriving, by memory.
func hoarders() ranking {
	return ranking{has: func(m *mux) int64 { return m.memory }, place: func(m *mux) *int { return &m.hoard }}
}

// crowds are the clients that have sessions, by how many.
func crowds() ranking {
	return ranking{has: func(m *mux) int64 { return int64(m.sessions) }, place: func(m *mux) *int { return &m.crowd }}
}

// charge notes that a client holds so many bytes more, or less.
func (m *mux) charge(bytes int64) {
	m.memory += bytes
	m.account.memory += bytes
	if m.hoard > 0 {
		heap.Fix(&m.e.hoarders, m.hoard-1)
	}
}

// yield has the client that holds the most memory give up the last of its requests
// that is arriving, if it holds more than m would with so many bytes.
func (m *mux) yield(bytes int) bool {
	e := m.e
	g := e.hoarders.first()
	if g == nil || g == m || g.memory <= m.memory+int64(bytes) {
		return false
	}
	g.arriving.giveUp(ResourceExhausted, noMemory)
	return true
}
