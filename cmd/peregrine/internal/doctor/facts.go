package doctor

// Facts is what was found out about a host. Numbers that the host does not tell
// are 0 unless their comment says otherwise, pointers nil.
type Facts struct {
	Asked   Asked    `json:"asked"`
	Host    Host     `json:"host"`
	CPU     CPU      `json:"cpu"`
	Memory  Memory   `json:"memory"`
	Process Process  `json:"process"`
	NIC     *NIC     `json:"nic,omitempty"`
	Devices []Device `json:"devices"`
	// Probed is what trying the backends and sockets told.
	Probed Probed `json:"probed"`
	// Measured is nil unless the caller measures, after Collect.
	Measured *Measured `json:"measured,omitempty"`
	// Unseen is what could not be read for want of permission.
	Unseen []Unseen `json:"unseen,omitempty"`
}

// Asked is what the user wants to know about.
type Asked struct {
	// Interface is a network interface; empty takes that of the default route. PCI
	// is the address of a device instead.
	Interface string `json:"interface,omitempty"`
	PCI       string `json:"pci,omitempty"`
	// Backend is the one meant, or empty: all.
	Backend string `json:"backend,omitempty"`
	// CPUs are those that loops are to have.
	CPUs []int `json:"cpus,omitempty"`
	// RecvBuffer and SendBuffer are a URL's keys, in bytes.
	RecvBuffer int `json:"recv_buffer,omitempty"`
	SendBuffer int `json:"send_buffer,omitempty"`
	// Built are the backends of this program.
	Built []string `json:"built"`
}

// Unseen is a file that could not be read.
type Unseen struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// Host is the kernel and what is around it.
type Host struct {
	Kernel  Version `json:"kernel"`
	Vendor  string  `json:"vendor,omitempty"`
	Product string  `json:"product,omitempty"`
	// Cloud is aws, gcp or azure, Container docker, podman, kubernetes or another's name.
	Cloud     string `json:"cloud,omitempty"`
	Container string `json:"container,omitempty"`
	// Lockdown is what the kernel keeps even from root: none, integrity, confidentiality.
	Lockdown     string            `json:"lockdown,omitempty"`
	Clocksource  string            `json:"clocksource,omitempty"`
	Clocksources []string          `json:"clocksources,omitempty"`
	Sysctl       map[string]string `json:"sysctl"`
	Modules      map[string]bool   `json:"modules"`
	// Parameters are those of modules, as in "vfio.enable_unsafe_noiommu_mode".
	Parameters  map[string]string `json:"parameters,omitempty"`
	IOMMUGroups int               `json:"iommu_groups"`
	IRQBalance  bool              `json:"irqbalance"`
	// UDP are the kernel's counters of that name since boot.
	UDP map[string]uint64 `json:"udp,omitempty"`
}

// Version is a kernel's; Text is all of its name.
type Version struct {
	Major int    `json:"major"`
	Minor int    `json:"minor"`
	Text  string `json:"text"`
}

// Before tells whether v is older. A version that is not known is not.
func (v Version) Before(major, minor int) bool {
	return v.Major != 0 && (v.Major < major || v.Major == major && v.Minor < minor)
}

// CPU is the processors.
type CPU struct {
	Model    string `json:"model,omitempty"`
	Vendor   string `json:"vendor,omitempty"`
	Virtual  bool   `json:"virtual"`
	CacheCAT bool   `json:"cache_cat"`
	Online   []int  `json:"online"`
	Isolated []int  `json:"isolated,omitempty"`
	NoHZFull []int  `json:"nohz_full,omitempty"`
	Cores    []Core `json:"cores"`
	// Stolen is the share of all time since boot that a hypervisor took, 0 to 1.
	Stolen float64 `json:"stolen"`
	// Load is how many tasks wanted to run, over the last minute.
	Load float64 `json:"load"`
	// Idle are the states of a CPU that sleeps, the lightest first.
	Idle []IdleState `json:"idle,omitempty"`
}

// Core is one CPU that is online. Siblings shares its core, itself included.
type Core struct {
	CPU       int      `json:"cpu"`
	Node      int      `json:"node"`
	Siblings  []int    `json:"siblings,omitempty"`
	Governor  string   `json:"governor,omitempty"`
	Governors []string `json:"governors,omitempty"`
}

// IdleState is one way to sleep; Latency is how long waking takes, in µs.
type IdleState struct {
	Name     string `json:"name"`
	Latency  int    `json:"latency_us"`
	Disabled bool   `json:"disabled"`
}

// Memory is the host's memory and caches.
type Memory struct {
	Nodes   []Node `json:"nodes"`
	Resctrl Cache  `json:"resctrl"`
}

// Node is one NUMA node with its hugepages.
type Node struct {
	ID   int    `json:"id"`
	CPUs []int  `json:"cpus,omitempty"`
	Huge []Huge `json:"huge,omitempty"`
}

// Huge is a pool of hugepages of one size.
type Huge struct {
	KB    int `json:"kb"`
	Total int `json:"total"`
	Free  int `json:"free"`
}

// Cache is the kernel's control over cache allocation.
type Cache struct {
	Known   bool   `json:"known"` // the file system is there
	Mounted bool   `json:"mounted"`
	Ways    int    `json:"ways"`
	Shared  int    `json:"shared"` // ways that devices write to as well
	Mask    uint64 `json:"mask"`
	IOMask  uint64 `json:"io_mask"`
}

// Process is what this process may do.
type Process struct {
	UID          int             `json:"uid"`
	Capabilities map[string]bool `json:"capabilities"`
	// UserNamespace says that capabilities count for nothing on the host.
	UserNamespace bool `json:"user_namespace"`
	// Seccomp is 0, 1 (strict) or 2: filtered.
	Seccomp int `json:"seccomp"`
	// Memlock is the limit of locked memory in bytes; -1 is none.
	Memlock int64 `json:"memlock"`
	Allowed []int `json:"allowed"`
	// Quota is how many CPUs' time the cgroup gets; 0 is all.
	Quota     float64 `json:"quota"`
	Throttled uint64  `json:"throttled"`
}

// NIC is a network interface.
type NIC struct {
	Name  string `json:"name"`
	Up    bool   `json:"up"`
	MTU   int    `json:"mtu"`
	Ether bool   `json:"ether"`
	// Driver, PCI, Vendor and ID are the device's; a virtual interface has none.
	Driver string `json:"driver,omitempty"`
	PCI    string `json:"pci,omitempty"`
	// Node is the NUMA node; -1 where the platform has none.
	Node         int               `json:"node"`
	DefaultRoute bool              `json:"default_route"`
	RXQueues     int               `json:"rx_queues"`
	TXQueues     int               `json:"tx_queues"`
	Statistics   map[string]uint64 `json:"statistics,omitempty"`
	IRQs         []IRQ             `json:"irqs,omitempty"`
	// Virtio is the features of a virtio device, a 0 or 1 for each bit.
	Virtio string `json:"virtio,omitempty"`
	Told   Told   `json:"told"`
}

// Queues is how many receive queues are on.
func (n *NIC) Queues() int {
	if c := n.Told.Channels; c != nil && c.RX+c.Combined > 0 {
		return c.RX + c.Combined
	}
	return n.RXQueues
}

// IRQ is an interrupt of the interface, and the CPUs it goes to.
type IRQ struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	CPUs   []int  `json:"cpus"`
}

// Device is a network device on the PCI bus, which DPDK may want.
type Device struct {
	Address    string   `json:"address"`
	Vendor     string   `json:"vendor"`
	ID         string   `json:"id"`
	Driver     string   `json:"driver,omitempty"`
	Interfaces []string `json:"interfaces,omitempty"`
	Node       int      `json:"node"`
	IOMMU      bool     `json:"iommu"`
	// Speed and Width are of the PCI Express link, in GT/s and lanes.
	Speed    float64 `json:"speed,omitempty"`
	MaxSpeed float64 `json:"max_speed,omitempty"`
	Width    int     `json:"width,omitempty"`
	MaxWidth int     `json:"max_width,omitempty"`
}

// device is the one at that address.
func (f *Facts) device(address string) *Device {
	for i := range f.Devices {
		if f.Devices[i].Address == address {
			return &f.Devices[i]
		}
	}
	return nil
}
