package core

import "container/heap"

// greed is how much of a limit one client may have, in multiples of what is left
// of it: alone nearly all, and what is left is there for the others.
const greed = 8

// fair says whether a client may have more of a limit.
func fair(own, left int64) bool { return own < greed*left }

// hoarders is the clients whose requests of several packets are arriving, as a
// heap with the one that holds the most memory on top.
type hoarders []*mux

func (h hoarders) Len() int           { return len(h) }
func (h hoarders) Less(i, j int) bool { return h[i].memory > h[j].memory }

func (h hoarders) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].hoard, h[j].hoard = i+1, j+1
}

func (h *hoarders) Push(x any) {
	m := x.(*mux)
	*h = append(*h, m)
	m.hoard = len(*h)
}

func (h *hoarders) Pop() any {
	n := len(*h) - 1
	m := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	m.hoard = 0
	return m
}

// charge notes that a client holds so many bytes more, or less.
func (m *mux) charge(bytes int64) {
	m.memory += bytes
	if m.hoard > 0 {
		heap.Fix(&m.e.hoarders, m.hoard-1)
	}
}

// yield has the client that holds the most memory give up the last of its requests
// that is arriving, if it holds more than m would with so many bytes.
func (m *mux) yield(bytes int) bool {
	e := m.e
	if len(e.hoarders) == 0 {
		return false
	}
	g := e.hoarders[0]
	if g == m || g.memory <= m.memory+int64(bytes) {
		return false
	}
	g.arriving.giveUp(ResourceExhausted, noMemory)
	return true
}
