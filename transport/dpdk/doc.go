// Package dpdk is the transport over DPDK's poll-mode drivers: the process owns
// a network device, and packets pass without the kernel. It needs cgo, libdpdk
// 22.11 or later and the build tag dpdk; without the tag Open says so. What differs
// between the versions of the library is in version.go.
//
//	import _ "github.com/peregrine-rpc/peregrine/transport/dpdk"
//
//	tr, err := transport.Open("dpdk://0000:00:06.0?ip=10.0.1.7/24&gateway=10.0.1.1&port=31850")
//
// The keys of the URL are those of [Config]. A device that needs no hardware is
// half of a pair of processes:
//
//	dpdk://net_vhost0,iface=/run/p.sock?ip=10.9.0.1/24&port=31850
//	dpdk://net_virtio_user0,path=/run/p.sock,packed_vq=1?ip=10.9.0.2/24
//
// # The process
//
// EAL, DPDK's environment, starts with the first Open and stays: it cannot start
// twice. If it fails, the process must be restarted after the remedy, so what the
// host's files can tell is checked before. Only devices that are opened are
// touched, and one that the kernel uses is refused.
//
// All of EAL but the bursts runs on one goroutine, (*control).run, locked to its
// thread and living as long as the process; tests for leaks ignore it. EAL may use
// the CPUs that this thread had: nothing is pinned unless lcores says so. Its log
// is not printed; errors quote it.
//
// # A port
//
// A device is opened with all its queues by the first Open of one, and closed with
// the last. Each queue has a pool of packet buffers, which must be full again when
// the device is closed, and an lcore id, by which the pools' caches and the drivers
// know its owner on whatever thread that runs. RSS spreads packets by a symmetric
// key, or as the device insists (spreading.go). It is a hint: some devices send all but TCP and UDP to queue 0.
//
// Every 10 ms the control goroutine advances the port's clock and looks for what
// the driver reported; every 100 ms it reads link and counters and runs drivers'
// timers. A device that asks for a reset is taken from its owners, who meanwhile
// see an idle device, and set up again until that succeeds.
//
// On mlx5 the kernel keeps the device. An isolated port takes UDP to its port, ARP,
// and, where the driver has rules for that, ICMP to its addresses, and leaves the
// kernel the rest.
//
// # A burst
//
// A poll enters C once to receive (recv.go) and a send once (send.go), over memory
// that both sides know (burst.h, burst_unsafe.go). In between Go reads and writes
// packet buffers itself: received ones are lent as they are, sent ones are copied
// to behind their headers, once.
package dpdk
