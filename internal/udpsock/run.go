package udpsock

import "github.com/peregrine-rpc/peregrine/transport"

// MaxSegments is UDP_MAX_SEGMENTS of kernels before 6.9.
const MaxSegments = 64

// Run is packets that go as one message: equal-sized ones of one route and code
// point, the last of which may be shorter, that the kernel takes as one send and
// cuts apart below the IP layer (UDP_SEGMENT).
type Run struct{ Packets, Bytes int }

// LongestRun says how many packets at the front, of which there is one, can go
// as one message.
func LongestRun(pkts []transport.TxPacket) Run {
	pkts = pkts[:min(len(pkts), MaxSegments)]
	first := &pkts[0]
	size := len(first.Head) + len(first.Payload)
	r := Run{1, size}
	for i := 1; i < len(pkts); i++ {
		p := &pkts[i]
		n := len(p.Head) + len(p.Payload)
		if n > size || n == 0 || r.Bytes+n > maxPayload4 || p.Route != first.Route || p.ECN != first.ECN {
			break
		}
		r.Packets++
		r.Bytes += n
		if n < size {
			break
		}
	}
	return r
}
