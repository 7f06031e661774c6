package doctor

// Probes asks what no file tells. Its methods never fail: what they cannot find
// out is empty in the answer.
type Probes interface {
	// Interface is what the driver of an interface tells.
	Interface(name string) Told
	// Backends tries the backends and sockets of this program.
	Backends() Probed
}

// Told is what a driver tells through ethtool and netlink.
type Told struct {
	Driver   string `json:"driver,omitempty"`
	Version  string `json:"version,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	// Features are the offloads by their names in the kernel, and whether they are on.
	Features map[string]bool   `json:"features,omitempty"`
	Flags    map[string]bool   `json:"flags,omitempty"` // the driver's private ones
	Counters map[string]uint64 `json:"counters,omitempty"`
	Channels *Channels         `json:"channels,omitempty"`
	Rings    *Rings            `json:"rings,omitempty"`
	Coalesce *Coalesce         `json:"coalesce,omitempty"`
	Pause    *Pause            `json:"pause,omitempty"`
	RSS      *RSS              `json:"rss,omitempty"`
	XDP      *XDP              `json:"xdp,omitempty"`
}

// Channels are an interface's queues, and the most it can have.
type Channels struct {
	RX          int `json:"rx"`
	TX          int `json:"tx"`
	Combined    int `json:"combined"`
	MaxRX       int `json:"max_rx"`
	MaxTX       int `json:"max_tx"`
	MaxCombined int `json:"max_combined"`
}

// Rings are the descriptors of each queue.
type Rings struct {
	RX    int `json:"rx"`
	TX    int `json:"tx"`
	MaxRX int `json:"max_rx"`
	MaxTX int `json:"max_tx"`
}

// Coalesce is how long the device gathers packets before it interrupts.
type Coalesce struct {
	Adaptive bool `json:"adaptive"`
	Micros   int  `json:"micros"`
}

// Pause tells whether pause frames are heeded and sent.
type Pause struct {
	RX bool `json:"rx"`
	TX bool `json:"tx"`
}

// RSS is how packets are spread over queues.
type RSS struct {
	Toeplitz bool  `json:"toeplitz"`
	Key      int   `json:"key"`    // its bytes
	Queues   []int `json:"queues"` // those in the table, sorted
	// UDP is what of an IPv4 datagram is hashed, in ethtool's letters: sdfn is
	// addresses and ports, sd addresses only. Empty where not told.
	UDP string `json:"udp,omitempty"`
}

// XDP is what netdev of generic netlink says (Linux 6.3).
type XDP struct {
	Known    bool   `json:"known"`
	Features uint64 `json:"features"`
	// Attached says that a program is on the interface.
	Attached bool `json:"attached"`
}

// What a driver can do with XDP, of enum netdev_xdp_act.
const (
	xdpBasic    = 1 << 0
	xdpRedirect = 1 << 1
	xdpZeroCopy = 1 << 3
)

// Probed is what happened when things were tried.
type Probed struct {
	UDP     Opened `json:"udp"`
	IOURing Opened `json:"iouring"`
	// XDPSocket is the error of an AF_XDP socket; empty if there was none.
	XDPSocket string `json:"xdp_socket,omitempty"`
}

// Opened is a backend on the loopback.
type Opened struct {
	Tried bool `json:"tried"`
	// Error is why it did not open.
	Error     string   `json:"error,omitempty"`
	SegmentTx bool     `json:"segment_tx"`
	SegmentRx bool     `json:"segment_rx"`
	Notes     []string `json:"notes,omitempty"`
}

// keptCounters are those of a driver that findings look at.
var keptCounters = []string{
	"bw_in_allowance_exceeded", "bw_out_allowance_exceeded", "pps_allowance_exceeded", "conntrack_allowance_exceeded",
	"linklocal_allowance_exceeded", "ena_srd_mode",
	"rx_out_of_buffer", "rx_discards_phy", "rx_overruns", "rx_no_buffer_count",
}

// keptFeatures likewise.
var keptFeatures = []string{
	"rx-gro", "rx-gro-hw", "rx-lro", "rx-checksum", "rx-hashing", "rx-ntuple-filter", "rx-udp-gro-forwarding",
	"tx-generic-segmentation", "tx-udp-segmentation", "tx-checksum-ip-generic", "tx-checksum-ipv4",
}

// keep leaves of a map what is named.
func keep[V any](all map[string]V, names []string) map[string]V {
	kept := map[string]V{}
	for _, name := range names {
		if v, ok := all[name]; ok {
			kept[name] = v
		}
	}
	return kept
}
