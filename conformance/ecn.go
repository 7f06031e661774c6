package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func bothMark(_ Factory, near, far transport.Caps) bool { return near.ECN && far.ECN }

func farCannotTell(_ Factory, _, far transport.Caps) bool { return !far.ECN }

var codePoints = []transport.ECN{transport.NotECT, transport.ECT1, transport.ECT0, transport.CE}

// codePointsArriveAsSent has long runs of one, which backends may learn from,
// and sudden changes.
func codePointsArriveAsSent(t *testing.T, p *pair) {
	for _, way := range []struct{ from, to *end }{{p.near, p.far}, {p.far, p.near}} {
		for i := range 200 {
			mark(t, way.from, way.to, codePoints[i%4], codePoints[i/4%4], codePoints[i/16%4], codePoints[i%4])
		}
		for _, usual := range codePoints {
			for range 150 {
				mark(t, way.from, way.to, usual)
			}
			mark(t, way.from, way.to, codePoints...)
		}
	}
}

// mark sends a datagram for each code point and requires that it arrives so.
func mark(t *testing.T, from, to *end, points ...transport.ECN) {
	t.Helper()
	got := exchange(from, to, points)
	for i := range got {
		require.Equal(t, points[got[i].Data[0]], got[i].ECN, "a code point arrives as it was sent: Caps say ECN")
	}
	to.Release(got)
}

// exchange sends datagrams that hold the indices of points.
func exchange(from, to *end, points []transport.ECN) []transport.RxPacket {
	from.t.Helper()
	for i, point := range points {
		from.send(datagram{bytes: []byte{byte(i), 0, 0}, head: 3, ecn: point})
	}
	return to.receive(len(points))
}

func codePointsThatCannotBeToldAreNotECT(t *testing.T, p *pair) {
	got := exchange(p.near, p.far, codePoints)
	for i := range got {
		require.Equal(t, transport.NotECT, got[i].ECN, "ECN is NotECT where the backend cannot tell")
	}
	p.far.Release(got)
}
