package handshake

import "github.com/peregrine-rpc/peregrine/core/packet"

// Unread is how many bytes a handshake keeps that were not looked at yet.
func Unread(of packet.Handshake) int {
	h := of.(*handshake)
	h.mu.Lock()
	defer h.mu.Unlock()
	total := 0
	for _, i := range h.in {
		total += len(i.data)
	}
	return total
}
