//go:build dpdk

package dpdk

/*
#include <stdlib.h>
#include "port.h"
*/
import "C"

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// native is a port as DPDK knows it.
type native struct {
	id         uint16
	driver     string
	mac        netstack.MAC
	ownMTU     int
	mtuLimit   int
	queueLimit int

	// What was obtained.
	isolated       bool // the kernel keeps what no rule of ours takes
	spreads        bool // by a hash of addresses and ports
	interrupts     bool
	txUDPChecksum  bool
	rxRing, txRing C.uint16_t
	shared         *C.struct_peregrine_shared
	pools          **C.struct_rte_mempool // those of the queues, for C
	key            *C.uint8_t
	down           *uint32 // in shared: set while owners must not touch the device
}

// portQueue is a queue of a port. Its owner marks *inside while it may touch the
// device, and stays out while *native.down is set.
type portQueue struct {
	pool   *C.struct_rte_mempool
	lcore  C.uint32_t // whose caches the owner uses
	inside *uint32    // in C memory, valid while the queue is out

	// The control goroutine's.
	out  bool
	held int // buffers that owners lost to others
}

// attach lets EAL take a device and finds its port.
func (p *port) attach(d device) error {
	devargs, name := C.CString(d.devargs()), C.CString(d.name)
	defer C.free(unsafe.Pointer(devargs))
	defer C.free(unsafe.Pointer(name))
	// EAL took the device that it was started for already.
	if err := result(C.rte_dev_probe(devargs)); err != nil && err != syscall.EEXIST {
		return err
	}
	var id C.uint16_t
	if err := result(C.peregrine_port_find(name, &id)); err != nil {
		return fmt.Errorf("it is no network device: %w", err)
	}
	p.id = uint16(id)
	return nil
}

// identify reads what the device is and can do.
func (p *port) identify() error {
	id := C.uint16_t(p.id)
	var info C.struct_rte_eth_dev_info
	var mtu C.uint16_t
	if err := result(C.rte_eth_dev_info_get(id, &info)); err != nil {
		return p.failed("tell what it is", err)
	}
	p.driver = C.GoString(info.driver_name)
	if err := result(C.rte_eth_macaddr_get(id, (*C.struct_rte_ether_addr)(unsafe.Pointer(&p.mac)))); err != nil {
		return p.failed("tell its MAC", err)
	}
	if err := result(C.rte_eth_dev_get_mtu(id, &mtu)); err != nil {
		return p.failed("tell its MTU", err)
	}
	p.ownMTU, p.mtuLimit = int(mtu), int(info.max_mtu)
	if p.mtuLimit == 1<<16-1 { // not given: it follows from the longest frame
		p.mtuLimit = int(info.max_rx_pktlen) - C.RTE_ETHER_HDR_LEN - C.RTE_ETHER_CRC_LEN
	}
	p.queueLimit = int(min(info.max_rx_queues, info.max_tx_queues))
	p.spreads = info.flow_type_rss_offloads != 0
	const tx, rx = C.RTE_ETH_TX_OFFLOAD_UDP_CKSUM, C.RTE_ETH_RX_OFFLOAD_UDP_CKSUM
	if p.cfg.Checksum == "offload" && (info.tx_offload_capa&tx == 0 || info.rx_offload_capa&rx == 0) {
		return wrong("checksum", "%s does not compute UDP checksums: give auto or software", p.driver)
	}
	key, err := p.cfg.rssKey()
	if err != nil {
		return err
	}
	if size := int(info.hash_key_size); len(p.queues) > 1 && size > len(key) {
		return wrong("rss_key", "%s wants %d bytes: give as many", p.driver, size)
	}
	p.key = (*C.uint8_t)(C.CBytes(key))
	return nil
}

// share makes the memory that Go and C share of the port.
func (p *port) share() error {
	n := C.size_t(len(p.queues))
	size := C.sizeof_struct_peregrine_shared + n*C.sizeof_struct_peregrine_inside
	shared := C.aligned_alloc(C.RTE_CACHE_LINE_SIZE, size)
	clear(unsafe.Slice((*byte)(shared), size))
	p.shared = (*C.struct_peregrine_shared)(shared)
	p.down = (*uint32)(&p.shared.down)
	lines := unsafe.Slice((*C.struct_peregrine_inside)(unsafe.Add(shared, C.sizeof_struct_peregrine_shared)), n)
	for i := range p.queues {
		p.queues[i].inside = (*uint32)(&lines[i].inside)
	}
	p.pools = (**C.struct_rte_mempool)(C.calloc(n, C.size_t(unsafe.Sizeof(p.pools))))
	return result(C.peregrine_port_watch(C.uint16_t(p.id), p.shared))
}

// makePools fixes the rings' sizes, and makes a pool for each queue.
func (p *port) makePools(serial int) error {
	p.rxRing, p.txRing = C.uint16_t(p.cfg.RxRing), C.uint16_t(p.cfg.TxRing)
	if err := result(C.rte_eth_dev_adjust_nb_rx_tx_desc(C.uint16_t(p.id), &p.rxRing, &p.txRing)); err != nil {
		return p.failed("choose ring sizes", err)
	}
	const cache, room = 256, C.RTE_PKTMBUF_HEADROOM
	n := p.cfg.Buffers + int(p.rxRing) + int(p.txRing) + 2*cache
	pools := unsafe.Slice(p.pools, len(p.queues))
	for i := range pools {
		name := C.CString(fmt.Sprintf("peregrine_%d_%d", serial, i))
		pools[i] = C.rte_pktmbuf_pool_create(name, C.uint(n), cache, 0, C.uint16_t(room+p.bufferSize()),
			C.rte_eth_dev_socket_id(C.uint16_t(p.id)))
		C.free(unsafe.Pointer(name))
		if pools[i] == nil {
			const overhead = 128 + 128 + 64 // mbuf, headroom, the pool's own
			return wrong("memory", "too little of %d MB is left for %d queues of %d buffers of %d bytes, which take about %d MB: give more, or lower buffers",
				p.cfg.Memory, len(pools), n, p.bufferSize(), len(pools)*n*(p.bufferSize()+overhead)>>20+8)
		}
		p.queues[i].pool = pools[i]
	}
	return nil
}

// setUp configures and starts the port.
func (p *port) setUp() error {
	s := C.struct_peregrine_setup{
		port:    C.uint16_t(p.id),
		queues:  C.uint16_t(len(p.queues)),
		rx_ring: p.rxRing,
		tx_ring: p.txRing,
		mtu:     C.uint16_t(p.mtu),
		key:     p.key,
		pools:   p.pools,
	}
	if p.cfg.Checksum != "software" {
		s.checksums = 1
	}
	// Armed when its peer goes, the interrupt of virtio-user ends the process
	// (22.11): such devices are polled.
	if p.cfg.Interrupts && p.driver != "net_virtio_user" {
		s.interrupts = 1
	}
	var step *C.char
	if err := result(C.peregrine_port_setup(&s, &step)); err != nil {
		return p.failed(C.GoString(step), err)
	}
	p.interrupts = s.interrupts != 0
	p.txUDPChecksum = s.tx_offloads&C.RTE_ETH_TX_OFFLOAD_UDP_CKSUM != 0
	return nil
}

// failed is what a user hears of a driver's error.
func (p *port) failed(step string, err error) error {
	return explained(fmt.Errorf("dpdk: %s (%s) cannot %s: %w", p.device.name, p.driver, step, err))
}

func (p *port) setMAC() error {
	return result(C.rte_eth_dev_default_mac_addr_set(C.uint16_t(p.id), (*C.struct_rte_ether_addr)(unsafe.Pointer(&p.mac))))
}

// listen lets frames in that are for the station or one of the groups. Virtual
// devices have no filters, and refuse all of this.
func (p *port) listen(groups []netstack.MAC) {
	id := C.uint16_t(p.id)
	C.rte_eth_promiscuous_disable(id)
	if C.rte_eth_dev_set_mc_addr_list(id, (*C.struct_rte_ether_addr)(unsafe.Pointer(&groups[0])), C.uint32_t(len(groups))) != 0 {
		C.rte_eth_allmulticast_enable(id)
	}
}

// link reads the link's state, and its rate in bits per second or 0.
func (p *port) link() (up bool, rate uint64) {
	var l C.struct_peregrine_link
	C.peregrine_port_link(C.uint16_t(p.id), &l)
	if l.mbps != C.RTE_ETH_SPEED_NUM_UNKNOWN {
		rate = uint64(l.mbps) * 1e6
	}
	return l.up != 0, rate
}

// dropped counts packets that came and found no descriptor or no buffer.
func (p *port) dropped() uint64 {
	var s C.struct_rte_eth_stats
	if C.rte_eth_stats_get(C.uint16_t(p.id), &s) != 0 {
		return 0
	}
	return uint64(s.imissed + s.rx_nombuf)
}

// events takes what the driver's callbacks noted.
func (p *port) events() (reset, removed bool) {
	e := atomic.SwapUint32((*uint32)(&p.shared.events), 0)
	return e&C.PEREGRINE_EVENT_RESET != 0, e&C.PEREGRINE_EVENT_REMOVED != 0
}

// quiesce keeps the owners out of the device, until resume. The barrier is theirs
// too: it is what spares them one at each burst.
func (p *port) quiesce() {
	atomic.StoreUint32(p.down, 1)
	barrier()
	for i := range p.queues {
		for atomic.LoadUint32(p.queues[i].inside) != 0 {
			time.Sleep(50 * time.Microsecond)
		}
	}
}

func (p *port) resume() { atomic.StoreUint32(p.down, 0) }

// barrier has every thread of the process pass a memory barrier. Where the
// kernel does not let us, time does it.
func barrier() {
	const registerPrivateExpedited, privateExpedited = 1 << 4, 1 << 3
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, registerPrivateExpedited, 0, 0)
	if errno == 0 {
		_, _, errno = unix.Syscall(unix.SYS_MEMBARRIER, privateExpedited, 0, 0)
	}
	if errno != 0 {
		time.Sleep(tickEvery)
	}
}

func (p *port) reset() error {
	if err := result(C.peregrine_port_reset(C.uint16_t(p.id))); err != nil {
		return p.failed("reset", err)
	}
	return nil
}

// detach stops and closes the device.
func (p *port) detach() error {
	var err error
	if p.shared != nil {
		C.peregrine_port_unwatch(C.uint16_t(p.id), p.shared)
	}
	if e := result(C.peregrine_port_close(C.uint16_t(p.id))); e != nil && !p.gone.Load() {
		err = p.failed("close", e)
	}
	C.free(unsafe.Pointer(p.shared))
	C.free(unsafe.Pointer(p.pools))
	C.free(unsafe.Pointer(p.key))
	p.shared, p.pools, p.key = nil, nil, nil
	return err
}

// missing is how many buffers are not in the pool.
func (q *portQueue) missing() int {
	if q.pool == nil {
		return 0
	}
	return int(C.rte_mempool_in_use_count(q.pool))
}

func (q *portQueue) free() {
	C.rte_mempool_free(q.pool)
	q.pool = nil
}

func reserveLcore() (C.uint32_t, error) {
	lcore := C.peregrine_lcore_reserve()
	if lcore < 0 {
		return 0, explained(fmt.Errorf("dpdk: EAL has no lcore left for a queue: a process has %d at most", maxLcores-1))
	}
	return C.uint32_t(lcore), nil
}

func giveBackLcore(lcore C.uint32_t) { C.peregrine_lcore_give_back(lcore) }

func (p *port) hugepages() bool { return C.rte_eal_has_hugepages() != 0 }

func (p *port) extendedStats() ([]Stat, error) {
	id := C.uint16_t(p.id)
	n := C.rte_eth_xstats_get(id, nil, 0)
	if n <= 0 {
		return nil, result(n)
	}
	names := make([]C.struct_rte_eth_xstat_name, n)
	values := make([]C.struct_rte_eth_xstat, n)
	got := min(C.rte_eth_xstats_get_names(id, &names[0], C.uint(n)), C.rte_eth_xstats_get(id, &values[0], C.uint(n)))
	if got < 0 || got > n {
		return nil, fmt.Errorf("dpdk: %s (%s) cannot read its statistics", p.device.name, p.driver)
	}
	stats := make([]Stat, got)
	for i := range stats {
		stats[i] = Stat{C.GoString(&names[values[i].id].name[0]), uint64(values[i].value)}
	}
	return stats, nil
}
