//go:build dpdk

package dpdk

import (
	"unsafe"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// burst is what Go and C share of one queue. It lies in C memory and mirrors
// struct peregrine_burst, which burst_cgo.go proves at compile time; so packets
// cross without a call for each, and Go needs no knowledge of an mbuf.
type burst struct {
	port, queue uint16
	lcore       uint32
	pool        unsafe.Pointer
	down        *uint32
	inside      *uint32

	prepare   uint32
	lentCount uint32
	backCount uint32
	refused   uint32

	rx   [burstSize]rxFrame
	tx   [burstSize]txFrame
	lent [burstSize]*byte
	back [burstSize]uintptr
}

const burstSize = 64

// rxFrame is a received frame. Its memory is an mbuf's, which nobody else
// touches until it is put into back.
type rxFrame struct {
	mbuf  uintptr
	data  *byte
	len   uint32
	flags uint32
}

// Flags of a received frame.
const (
	rxChecked = netstack.IPChecked | netstack.UDPChecked
	rxChained = 4
)

func (f *rxFrame) bytes() []byte { return unsafe.Slice(f.data, f.len) }

// txFrame is a frame to send: headers right in front of lent memory.
type txFrame struct {
	data   *byte
	flags  uint64
	len    uint32
	head   uint16
	l2, l3 uint8
}

// frame views n bytes of headers and data, of which head are in front of lent
// memory. An mbuf has 128 bytes of headroom there, and no header is longer.
func frame(lent *byte, head, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(lent), -head)), n)
}

// view is lent memory as a packet's Head.
func view(lent *byte, n int) []byte { return unsafe.Slice(lent, n) }

// lentOf is the lent memory that a Head begins with.
func lentOf(head []byte) *byte { return unsafe.SliceData(head) }
