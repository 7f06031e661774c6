//go:build dpdk

package dpdk

// #include "steering.h"
import "C"

import (
	"fmt"
	"net/netip"
	"unsafe"
)

func (p *port) isolateFlows() error {
	var why *C.char
	err := C.peregrine_isolate(C.uint16_t(p.id), &why)
	return refused(err, why)
}

func (p *port) forgetFlows() { C.peregrine_steer_nothing(C.uint16_t(p.id)) }

func (p *port) steerUDP(six bool) error {
	var why *C.char
	err := C.peregrine_steer_udp(C.uint16_t(p.id), C.bool(six), C.uint16_t(p.local.Port()), C.uint16_t(len(p.queues)), p.key, &why)
	return refused(err, why)
}

func (p *port) steerARP() error {
	var why *C.char
	err := C.peregrine_steer_arp(C.uint16_t(p.id), &why)
	return refused(err, why)
}

func (p *port) steerICMP(to netip.Addr) error {
	var why *C.char
	address := to.AsSlice()
	err := C.peregrine_steer_icmp(C.uint16_t(p.id), C.bool(to.Is6()), (*C.uint8_t)(unsafe.SliceData(address)), &why)
	return refused(err, why)
}

// refused is what a driver says to a rule.
func refused(err C.int, why *C.char) error {
	if err := result(err); err != nil {
		return fmt.Errorf("%w (%s)", err, C.GoString(why))
	}
	return nil
}
