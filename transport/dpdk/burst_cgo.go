//go:build dpdk

package dpdk

/*
#cgo pkg-config: libdpdk
#cgo CFLAGS: -O3 -ftls-model=initial-exec
#cgo noescape peregrine_receive
#cgo nocallback peregrine_receive
#cgo noescape peregrine_send
#cgo nocallback peregrine_send
#include "burst.h"
*/
import "C"

import (
	"errors"
	"net/netip"
	"unsafe"
)

// The two layouts are one: any index but 0 is out of range.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(rxFrame{})-C.sizeof_struct_peregrine_rx]
	_ = [1]struct{}{}[unsafe.Sizeof(txFrame{})-C.sizeof_struct_peregrine_tx]
	_ = [1]struct{}{}[unsafe.Sizeof(burst{})-C.sizeof_struct_peregrine_burst]
	_ = [1]struct{}{}[burstSize-C.PEREGRINE_BURST]
	_ = [1]struct{}{}[rxChecked-C.PEREGRINE_RX_IP_GOOD-C.PEREGRINE_RX_L4_GOOD]
	_ = [1]struct{}{}[rxChained-C.PEREGRINE_RX_CHAINED]
)

// openBurst begins the use of a queue by its owner, who closes it.
func (p *port) openBurst(queue int) (*burst, error) {
	q := &p.queues[queue]
	var prepare C.uint32_t
	if p.txUDPChecksum {
		prepare = 1
	}
	b := C.peregrine_open(C.uint16_t(p.id), C.uint16_t(queue), q.lcore, q.pool,
		(*C.uint32_t)(p.down), (*C.uint32_t)(q.inside), prepare)
	if b == nil {
		return nil, errors.New("dpdk: no memory for a queue")
	}
	return (*burst)(unsafe.Pointer(b)), nil
}

// offload is the flags of a packet whose UDP checksum the device computes; 0
// where it does not.
func (p *port) offload(to netip.Addr) uint64 {
	switch {
	case !p.txUDPChecksum:
		return 0
	case to.Is4():
		return C.RTE_MBUF_F_TX_IPV4 | C.RTE_MBUF_F_TX_UDP_CKSUM
	}
	return C.RTE_MBUF_F_TX_IPV6 | C.RTE_MBUF_F_TX_UDP_CKSUM
}

// mbufOf is the mbuf of lent memory.
func mbufOf(lent *byte) uintptr { return uintptr(unsafe.Pointer(lent)) - C.PEREGRINE_LENT }

func (b *burst) c() *C.struct_peregrine_burst { return (*C.struct_peregrine_burst)(unsafe.Pointer(b)) }

func (b *burst) number() C.uintptr_t { return C.uintptr_t(uintptr(unsafe.Pointer(b))) }

// receive fills at most n of b.rx, and frees what is in b.back.
func (b *burst) receive(n int) int { return int(C.peregrine_receive(b.number(), C.uint32_t(n))) }

// send hands down the first n of b.tx and returns how many the port took. It
// fills b.lent again.
func (b *burst) send(n int) int { return int(C.peregrine_send(b.number(), C.uint32_t(n))) }

func (b *burst) lend() { C.peregrine_lend(b.c()) }

func (b *burst) giveBack() { C.peregrine_give_back(b.c()) }

func (b *burst) close() { C.peregrine_close(b.c()) }

// interrupts adds the queue's receive interrupt to an epoll instance; false
// means that the driver has none.
func (b *burst) interrupts(epoll int) bool { return C.peregrine_interrupts(b.c(), C.int(epoll)) == 0 }

// arm asks for an interrupt when a packet comes.
func (b *burst) arm() bool { return C.peregrine_arm(b.c()) == 0 }

func (b *burst) disarm(epoll int) { C.peregrine_disarm(b.c(), C.int(epoll)) }
