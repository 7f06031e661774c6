package core

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

// checkAccounts compares what an endpoint holds with its bounds, and its
// accounts with what it holds. servers is how many it may have dialed, and calls
// how many may be under way.
func (d *node) checkAccounts(servers, calls int) {
	cfg, st := &d.cfg, d.Stats()
	dialed, accepted := d.dialed(), len(d.accepted())
	for _, b := range []struct {
		what       string
		held, most int
	}{
		{"bytes of reassembly", int(st.ReassemblyBytes), int(cfg.ReassemblyMemory)},
		{"sessions", st.Sessions, cfg.Sessions},
		{"clients", accepted, cfg.Peers},
		{"connections", st.Peers, cfg.Peers + dialed},
		{"requests", d.held - d.refused, cfg.Requests},
		{"refused requests", d.refused, cfg.Sessions * cfg.Slots},
		{"entries of sessions", d.entries, d.mostEntries()},
		{"servers", dialed, servers},
		{"calls under way", int(st.CallsStarted - st.CallsSucceeded - st.CallsFailed), calls},
		{"streams served", d.servedStreams, cfg.Requests},
		{"entries of streams", d.streamEntries, 2*cfg.Requests + spareEntries},
		{"bytes of buffers", int(d.buffers.kept), maxKept},
	} {
		d.net.bounded(b.what, b.held, b.most)
	}

	connected, sessions, entries, controls, served, streamEntries := 0, 0, 0, 0, 0, 0
	for p := range d.packets.Conns() {
		m := muxOf(p)
		entries += len(m.served)
		controls += m.controls
		if p.State() == packet.Connected {
			connected++
		}
		for i := range m.served {
			if s := m.served[i].session; s != nil {
				sessions++
				d.net.bounded("slots served", len(s.slots), cfg.Slots)
				streamEntries += len(s.streams)
				for _, e := range s.streams {
					if e.stream != nil {
						served++
					}
				}
			}
		}
		queued, widened := 0, 0
		m.eachStream(func(s *Stream) {
			q := d.net.checkStream(s)
			queued += q
			widened += int(s.in.window) - cfg.StreamWindow
		})
		d.net.agree("bytes of streams' messages under way", queued, m.queued)
		d.net.agree("bytes that windows were widened by", widened, m.widened)
		d.net.bounded("bytes that windows were widened by", m.widened, int(cfg.StreamMemory))
		d.net.bounded("messages of packets", len(m.queue.entries), packet.MaxEntries)
		outstanding := 0
		m.eachSession(func(s *Session) {
			d.net.bounded("slots", len(s.slots), cfg.Slots)
			d.net.bounded("calls that wait for a slot", s.waiting.length, cfg.Queue)
			outstanding += len(s.slots) - len(s.free)
		})
		d.net.agree("outstanding calls", outstanding, m.outstanding)
	}
	d.net.agree("connections", connected, st.Peers)
	d.net.agree("sessions", sessions, st.Sessions)
	d.net.agree("streams served", served, d.servedStreams)
	d.net.agree("entries of streams", streamEntries, d.streamEntries)
	d.net.agree("entries of sessions", entries, d.entries)
	d.net.agree("control messages", controls, d.controlling)
	d.checkArrivals()
	d.net.agree("requests", len(d.requests.all)-min(1, len(d.requests.all))-len(d.requests.free), d.held)
}

// checkArrivals compares the memory of requests of several packets, and of what
// streams hold, with its accounts.
func (d *node) checkArrivals() {
	bytes, maps, of := 0, 0, map[*mux]int{}
	for _, r := range d.requests.all {
		if r == nil || r.in == nil {
			continue
		}
		own := cap(r.in.buf)
		for _, f := range r.in.early {
			own += len(f.body)
		}
		bytes, maps = bytes+own, maps+int(r.in.bitmap)
		of[r.session.mux] += own + int(r.in.bitmap)
	}
	for p := range d.packets.Conns() {
		m := muxOf(p)
		m.eachStream(func(s *Stream) {
			if s.in.held == nil {
				return
			}
			for _, h := range s.in.held.live() {
				own := len(h.data)
				if h.shared {
					own = cap(h.data)
					bytes += own
				}
				if h.in != nil {
					maps, own = maps+int(h.bitmap), own+int(h.bitmap)
				}
				of[m] += own
			}
		})
	}
	d.net.agree("bytes of arrivals", bytes, int(d.buffers.lent))
	d.net.agree("bytes of their bitmaps", maps, int(d.buffers.maps))
	for m, own := range of {
		d.net.agree("bytes of a client's arrivals", own, int(m.memory))
		if m.account == &m.own {
			d.net.agree("bytes of its account", own, int(m.account.memory))
			d.net.agree("requests of its account", m.requests, m.account.requests)
			d.net.agree("sessions of its account", m.sessions, m.account.sessions)
		}
	}
	for i, m := range d.hoarders.clients {
		d.net.agree("place of a client", i+1, m.hoard)
		d.net.bounded("bytes of a client", int(m.memory), int(d.hoarders.first().memory))
	}
	for i, m := range d.crowds.clients {
		d.net.agree("place of a client", i+1, m.crowd)
		d.net.bounded("sessions of a client", m.sessions, d.crowds.first().sessions)
	}
}

// bounded and agree are quicker than require as long as all is well.

func (n *network) bounded(what string, held, most int) {
	if held > most {
		require.Fail(n.t, fmt.Sprintf("%d %s; there may be %d", held, what, most))
	}
}

func (n *network) agree(what string, there, account int) {
	if there != account {
		require.Fail(n.t, fmt.Sprintf("%d %s; the account says %d", there, what, account))
	}
}

// eachStream calls f with all that are open.
func (m *mux) eachStream(f func(*Stream)) {
	each := func(entries []streamEntry) {
		for _, e := range entries {
			if e.stream != nil {
				f(e.stream)
			}
		}
	}
	m.eachSession(func(s *Session) {
		if s.streams != nil {
			each(s.streams.entries)
		}
	})
	for i := range m.served {
		if s := m.served[i].session; s != nil {
			each(s.streams)
		}
	}
}

// checkStream compares what a stream holds with what it was granted, and returns the
// bytes that it has under way.
func (n *network) checkStream(s *Stream) (queued int) {
	o, in := &s.out, &s.in
	waiting := false
	bytes := 0
	for p := o.oldest; p != nil; p = p.newer {
		waiting = waiting || p == o.blocked
		if p.stream != s || p.newer == nil && p != o.newest {
			require.Fail(n.t, "the list of a stream's messages is broken")
		}
		if !p.lent {
			bytes += len(p.data)
			if !waiting {
				queued += len(p.data)
			}
		}
	}
	n.agree("bytes of a stream's messages", bytes, o.queued)
	if in.held == nil {
		return queued
	}
	place := in.next
	for i, h := range in.held.live() {
		if int32(h.place-place) < 0 || int32(in.limit-h.place) <= 0 {
			require.Fail(n.t, "a message is held that may not be there")
		}
		place = h.end()
		if i < len(in.held.live())-1 && int32(in.limit-place) < 0 {
			require.Fail(n.t, "more is held than was granted")
		}
	}
	return queued
}
