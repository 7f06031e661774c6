package doctor

import "slices"

// entry is a code and what is the same whenever it is found.
type entry struct {
	code  string
	level Level
	// backends that it is about; none means all, and the host.
	backends []string
	why      string
}

var (
	kernelSockets = []string{"udp", "iouring"}
	ringsOfKernel = []string{"iouring"}
	rawSockets    = []string{"xdp"}
	userDrivers   = []string{"dpdk"}
	kernelDriver  = []string{"udp", "iouring", "xdp"}
)

// catalogue is all codes, of each level the most useful first: findings are printed
// in this order. docs/doctor.md has the same codes, and a code that was once
// published keeps its meaning.
var catalogue = []entry{
	// Problems.
	{"nic-down", Problem, nil, "An interface that is down receives nothing, whatever the backend."},
	{"cpu-not-allowed", Problem, nil, "A loop cannot be pinned to a CPU that is offline, or that the cpuset of this process leaves out."},
	{"uring-filtered", Problem, ringsOfKernel, "The kernel would have io_uring, and a filter keeps it from this process."},
	{"uring-disabled", Problem, ringsOfKernel, "io_uring is turned off on this host, which may be on purpose: docs/iouring.md says why people do it."},
	{"uring-kernel", Problem, ringsOfKernel, "iouring:// needs DEFER_TASKRUN, rings of buffers and multishot receives: Linux 6.1 or later."},
	{"xdp-socket", Problem, rawSockets, "Without AF_XDP sockets in the kernel there is no xdp://."},
	{"xdp-capabilities", Problem, rawSockets, "Loading a program, putting it on an interface and opening an AF_XDP socket each take a capability."},
	{"xdp-interface", Problem, rawSockets, "AF_XDP moves Ethernet frames."},
	{"xdp-program", Problem, rawSockets, "There is room for one program on an interface, and another's is there."},
	{"xdp-mtu", Problem, rawSockets,
		"A packet must fit into one frame of shared memory beside what the kernel puts there, and in native mode into the driver's buffers."},
	{"xdp-ena-queues", Problem, rawSockets,
		"With a program, ENA's driver takes a transmit queue more for each channel; before 2.17.0 only half of them may be on."},
	{"memlock", Problem, rawSockets, "Packet buffers are locked memory, and count against the limit of a process without CAP_IPC_LOCK."},
	{"dpdk-not-built", Problem, userDrivers, "DPDK is C: its backend is in programs built with cgo, libdpdk and the tag dpdk."},
	{"dpdk-driver", Problem, userDrivers, "A process gets a card's registers from vfio-pci or a UIO driver, and not from the kernel's own driver."},
	{"dpdk-mlx5-driver", Problem, userDrivers, "ConnectX cards are shared with the kernel's driver: unbound from it they do nothing at all."},
	{"dpdk-mlx5-modules", Problem, userDrivers, "DPDK reaches a ConnectX card through the kernel's verbs."},
	{"dpdk-only-interface", Problem, userDrivers, "A card that is handed to DPDK vanishes from the kernel, and ssh over it with it."},
	{"dpdk-privileges", Problem, userDrivers, "Raw queues, flow rules, locked memory and physical addresses each take a privilege."},
	{"dpdk-lockdown", Problem, userDrivers, "A kernel that is locked down, as under secure boot, lets no process map a card's registers by UIO, and loads no unsigned module."},
	{"dpdk-hugepages", Problem, userDrivers, "A card is given physical addresses, which only hugepages keep."},
	{"dpdk-iommu", Problem, userDrivers, "vfio-pci lets a card reach only what the IOMMU maps; without one it must be told to do without."},

	// Advice.
	{"ena-allowance", Advice, nil,
		"Beyond its allowance the instance queues packets and then drops them, outside of this host, so that no socket's counter shows it."},
	{"udp-loss", Advice, kernelSockets,
		"Datagrams that arrived were dropped because a socket's receive buffer was full: somebody's reader was away too long."},
	{"nic-loss", Advice, kernelDriver, "The interface itself dropped packets: its rings were full, or frames were damaged."},
	{"cpu-quota", Advice, nil,
		"A loop that polls uses its CPU up; once the quota of the period is spent the whole process stands still, up to a tenth of a second at a time."},
	{"udp-buffer", Advice, kernelSockets, "What arrives while a loop is away must fit into the socket's buffer; the rest is lost and sent again."},
	{"cpu-governor", Advice, nil, "A governor that saves power lets a CPU run slowly, and takes milliseconds to notice that it is wanted."},
	{"cpu-clocksource", Advice, nil, "Reading the clock is a system call with this source, and a loop reads it every turn."},
	{"cpu-busy", Advice, nil, "A loop that polls waits its turn among them, and so does each call; what is measured now is them."},
	{"slow-clock", Advice, nil, "A loop reads the clock every turn, and a reading is to take some 25 ns."},
	{"slow-system-call", Advice, kernelSockets, "Each batch of datagrams is a system call or two, which is to take some 0.2 µs."},
	{"late-timer", Advice, nil, "A loop that sleeps wakes that late: for its deadlines, and likewise for packets."},
	{"cpu-stolen", Advice, nil, "The hypervisor gave this machine's time to others: tail latency is theirs to decide."},
	{"cpu-numa", Advice, nil, "Each packet crosses between sockets when the card is on one node and the loop on another."},
	{"cpu-siblings", Advice, nil, "Two threads of one core share it: two polling loops there have half a core each."},
	{"cpu-irq", Advice, kernelDriver, "Interrupts on a loop's CPU stop it in the midst of its work."},
	{"cpu-irqbalance", Advice, kernelDriver, "irqbalance moves interrupts onto the CPUs of loops, and moves them back after they were set by hand."},
	{"cpu-few", Advice, nil, "A loop that polls needs a CPU, and the rest of the program another."},
	{"cpu-idle", Advice, nil, "A CPU that sleeps deeply takes longer to wake than a call takes; loops that block wait for it."},
	{"cpu-isolation", Advice, nil, "The scheduler and the timer tick interrupt a loop on a CPU that is not set aside."},
	{"nic-rings", Advice, kernelDriver, "A ring that is short overflows in the time that its reader is away."},
	{"nic-queues", Advice, kernelDriver, "More loops than queues share them; fewer queues than the card has leave its parallelism unused."},
	{"nic-rss-udp", Advice, kernelDriver, "All datagrams between two hosts land on one queue if their ports are not hashed."},
	{"nic-rss-table", Advice, kernelDriver, "Queues that the indirection table leaves out receive nothing."},
	{"nic-coalescing", Advice, kernelDriver, "The card waits that long for further packets before it says that one has come."},
	{"nic-offload", Advice, kernelSockets, "A datagram costs the kernel about 4 µs; batches that it handles as one cost that once."},
	{"nic-checksum", Advice, kernelDriver, "Checksums that the card does not compute, a CPU does."},
	{"nic-pause", Advice, nil, "Pause frames stop all senders for one slow receiver; Peregrine's congestion control does without."},
	{"nic-pcie", Advice, nil, "The slot carries less than the card could."},
	{"nic-mtu", Advice, []string{"udp", "iouring", "dpdk"}, "Large messages leave in more and smaller packets than this network carries."},
	{"xdp-generic", Advice, rawSockets, "Without native mode the kernel builds its own packet first and copies it: slower, and it works."},
	{"xdp-offload", Advice, rawSockets, "Drivers refuse native mode while the card merges packets for the kernel."},
	{"xdp-queues", Advice, rawSockets, "What arrives at a queue without a loop goes to the kernel, so every queue needs one."},
	{"virtio-queues", Advice, kernelDriver, "One queue is one interrupt and one CPU for all packets; the hypervisor decides how many there are."},
	{"ena-driver", Advice, rawSockets, "Amazon's driver has had AF_XDP zero-copy and flow steering since 2.13.0, all queues beside a program since 2.17.0."},
	{"mlx5-compression", Advice, kernelDriver, "Compressed completions save PCI bandwidth and cost latency."},
	{"dpdk-write-combining", Advice, userDrivers, "ENA's driver writes into the card's memory; not mapped write-combining, each write is a slow transaction of its own."},
	{"dpdk-huge-node", Advice, userDrivers, "Packet memory on another node than the card is reached across the socket's link."},
	{"numa-balancing", Advice, nil, "The kernel unmaps pages now and then to see who uses them, and each is a page fault on a loop."},
	{"busy-poll", Advice, kernelSockets,
		"The kernel then polls the card in every poll of every program; loops poll for themselves, and the iouring key busy_poll is theirs alone."},
	{"bpf-jit", Advice, rawSockets, "Each packet runs the program, which is interpreted without the compiler."},
	{"cache-ddio", Advice, nil,
		"Cards write into a few ways of the last-level cache (DDIO). That helps a thread that polls; disks of a busy file server write there too, and " +
			"evict packets before they are read."},

	// Notes.
	{"cpu-far", Note, nil, "Whatever two CPUs do together moves with this figure, by up to a factor of two."},
	{"uring-no-faster", Note, ringsOfKernel, "A datagram costs the kernel about 4 µs either way; a system call that is saved, 0.2."},
	{"container", Note, nil, "A container sees some of the host's settings, and can change few."},
	{"ena-flow", Note, nil, "AWS gives one flow (addresses and ports) 5 Gbit/s, 10 in a cluster placement group, 25 with ENA Express; loops add up."},
	{"ena-queue-count", Note, nil, "How many queues an interface can have is chosen at launch, up to 128 on newer instances."},
	{"xdp-no-zero-copy", Note, rawSockets, "The kernel copies each packet once; that works everywhere."},
	{"xdp-no-steering", Note, rawSockets, "A packet that comes by another loop's queue is handed on, at some cost."},
	{"uring-older", Note, ringsOfKernel, "Later kernels save it a system call here and there: docs/iouring.md has which."},
	{"uring-copies", Note, ringsOfKernel, "Something that was asked for was not obtained; it works without."},
	{"cache-resctrl", Note, nil, "With it, ways of the last-level cache can be set aside for loops."},
	{"virtualised", Note, nil, "Frequency, sleep states and cache ways are the host's, and not to be seen from inside."},
	{"cpu-choice", Note, nil, "These are allowed, near the card, on cores of their own, and not CPU 0, which has the kernel's chores."},
	{"limited-view", Note, nil, "What could not be read may hide a finding."},
}

var ranks = func() map[string]int {
	ranks := map[string]int{}
	for i := range catalogue {
		ranks[catalogue[i].code] = i
	}
	return ranks
}()

func rank(code string) int { return ranks[code] }

func lookup(code string) (entry, bool) {
	i := slices.IndexFunc(catalogue, func(e entry) bool { return e.code == code })
	if i < 0 {
		return entry{}, false
	}
	return catalogue[i], true
}

// Codes lists all codes in the order of their use.
func Codes() []string {
	codes := make([]string, len(catalogue))
	for i := range catalogue {
		codes[i] = catalogue[i].code
	}
	return codes
}
