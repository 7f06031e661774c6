package conformance

import "testing"

func headAndPayloadAreJoined(_ *testing.T, p *pair) {
	most := min(p.near.Caps().MaxPayload, p.far.Caps().MaxPayload)
	for _, size := range []int{1, 2, 63, 64, 65, 512, 513, 1024, most - 1, most} {
		var ds []datagram
		for i, head := range []int{0, 1, size / 2, size - 1, size} {
			ds = append(ds, datagram{bytes: pattern(i, size), head: head})
		}
		requireCarried(p.near, p.far, ds, len(ds))
	}

	// Fragments of one message: a short head each, and a slice of the same memory.
	message := pattern(1, 20*100)
	var ds []datagram
	for i := range 20 {
		ds = append(ds, datagram{bytes: message[i*100 : (i+1)*100], head: 16})
	}
	requireCarried(p.near, p.far, ds, len(ds))
}

func headsAreSentInAnyOrder(t *testing.T, p *pair) {
	ds := numbered(4, 100)
	// Reserved by two calls, sent by two others, crosswise.
	pkts := append(p.near.reserve(1), p.near.reserve(3)...)
	p.near.load(pkts, ds)
	pkts[0], pkts[3] = pkts[3], pkts[0]
	p.near.push(pkts[2:])
	p.near.push(pkts[:2])
	got := p.far.receive(len(ds))
	requireSame(t, ds, contents(got))
	p.far.Release(got)
}
