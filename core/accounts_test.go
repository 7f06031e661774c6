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
		{"bytes of buffers", int(d.buffers.kept), maxKept},
	} {
		d.net.bounded(b.what, b.held, b.most)
	}

	connected, sessions, entries, controls := 0, 0, 0, 0
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
			}
		}
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
	d.net.agree("entries of sessions", entries, d.entries)
	d.net.agree("control messages", controls, d.controlling)
	d.checkArrivals()
	d.net.agree("requests", len(d.requests.all)-min(1, len(d.requests.all))-len(d.requests.free), d.held)
}

// checkArrivals compares the memory of requests of several packets with its accounts.
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
	d.net.agree("bytes of arrivals", bytes, int(d.buffers.lent))
	d.net.agree("bytes of their bitmaps", maps, int(d.buffers.maps))
	for m, own := range of {
		d.net.agree("bytes of a client's arrivals", own, int(m.memory))
	}
	for i, m := range d.hoarders {
		d.net.agree("place of a client", i+1, m.hoard)
		d.net.bounded("bytes of a client", int(m.memory), int(d.hoarders[0].memory))
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
