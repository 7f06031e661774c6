package dpdk

import "fmt"

// release is a version of DPDK: 22.11.7 is release{2211, 7}.
type release struct{ yearMonth, stable int }

func (r release) String() string {
	return fmt.Sprintf("%d.%02d.%d", r.yearMonth/100, r.yearMonth%100, r.stable)
}

func (r release) before(other release) bool {
	return r.yearMonth < other.yearMonth || r.yearMonth == other.yearMonth && r.stable < other.stable
}

// span is the releases from since on and before until, of which zero means none.
type span struct{ since, until release }

func (s span) has(r release) bool {
	return !r.before(s.since) && (s.until == release{} || r.before(s.until))
}

func since(yearMonth int) span { return span{since: release{yearMonth, 0}} }

func until(yearMonth int) span { return span{until: release{yearMonth, 0}} }

// What differs between the releases from 22.11 on is in these tables, as read in
// their sources. What compilers are told differs too: see cgoFlags.

// badArguments is what EAL says of a command line that it does not take.
var badArguments = []struct {
	span
	words string
}{
	{until(2511), "Invalid 'command line' arguments"},
	{since(2511), "Invalid command line arguments"},
	{since(2511), "Error parsing command line arguments"},
}

// strictEAL is the releases whose EAL ends the process when it does not know an
// option, or gets one twice that makes no list. So they are asked only for what is in
// options.
var strictEAL = since(2511)

// options are EAL's, by whether they take a value.
var options = struct{ lists, values, maybe, none []string }{
	lists: []string{"--allow", "-a", "--block", "-b", "--driver-path", "-d", "--log-level", "--vdev", "--trace"},
	values: []string{
		"--base-virtaddr", "--coremask", "-c", "--force-max-simd-bitwidth", "--iova-mode", "--lcores", "-l", "--main-lcore",
		"--mbuf-pool-ops-name", "--memory-channels", "-n", "--memory-ranks", "-r", "--memory-size", "-m", "--proc-type",
		"--service-corelist", "-S", "--service-coremask", "-s", "--trace-bufsz", "--trace-dir", "--trace-mode", "--file-prefix",
		"--huge-dir", "--numa-mem", "--numa-limit", "--socket-mem", "--socket-limit", "--vfio-intr", "--vfio-vf-token",
	},
	maybe: []string{"--huge-unlink", "--log-color", "--log-timestamp", "--remap-lcore-ids", "-R", "--syslog", "--huge-worker-stack"},
	none: []string{
		"--in-memory", "--legacy-mem", "--no-hpet", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
		"--single-file-segments", "--telemetry", "--vmware-tsc-map", "--create-uio-dev", "--match-allocations",
	},
}

// advice is what users of a driver should know of a release.
var advice = []struct {
	span
	driver, note string
}{
	{until(2403), "net_ena", "before DPDK 24.03 what overran the card's receive rings is not in RxOverflow"},
	{span{release{2411, 0}, release{2411, 2}}, "net_ena", "DPDK 24.11.0 and 24.11.1 turn the card's low-latency queue (LLQ) off, which costs much: install 24.11.2 or later"},
}

// adviceOn is the notes on a driver.
func adviceOn(driver string, r release) (notes []string) {
	for _, a := range advice {
		if a.driver == driver && a.has(r) {
			notes = append(notes, a.note)
		}
	}
	return notes
}

// parameters are the arguments of drivers, by the front of a virtual device's name or
// by the PCI driver that takes them. A driver that is not here is not checked.
var parameters = map[string][]parameter{
	"net_ena": {
		{name: "miss_txc_to"},
		{name: "large_llq_hdr", span: until(2411), instead: "llq_policy=3"},
		{name: "normal_llq_hdr", span: span{release{2403, 0}, release{2411, 0}}, instead: "llq_policy=2"},
		{name: "enable_llq", span: until(2411), instead: "llq_policy=0 for off"},
		{name: "llq_policy", span: since(2411), instead: "large_llq_hdr=1 for 3, enable_llq=0 for 0"},
		{name: "control_path_poll_interval", span: since(2403)},
		{name: "enable_frag_bypass", span: since(2507)},
	},
	"mlx5_pci": append(named(
		"allow_duplicate_pattern", "class", "cmd_fd", "decap_en", "delay_drop", "driver", "dv_esw_en", "dv_flow_en", "dv_xmeta_en",
		"fdb_def_rule_en", "hp_buf_log_sz", "l3_vxlan_en", "lacp_by_user", "lro_timeout_usec", "max_dump_files_num", "mprq_en",
		"mprq_log_stride_num", "mprq_log_stride_size", "mprq_max_memcpy_len", "mr_ext_memseg_en", "mr_mempool_reg_en", "pd_handle",
		"reclaim_mem_mode", "representor", "rx_vec_en", "rxq_cqe_comp_en", "rxq_pkt_pad_en", "rxqs_min_mprq", "service_core",
		"sq_db_nc", "svc_cycle_time", "sys_mem_en", "tx_db_nc", "tx_pp", "tx_skew", "tx_vec_en", "txq_inline", "txq_inline_max",
		"txq_inline_min", "txq_inline_mpw", "txq_max_inline_len", "txq_mpw_en", "txq_mpw_hdr_dseg_en", "txqs_max_vec",
		"txqs_min_inline", "vf_nl_en"),
		parameter{name: "repr_matching_en", span: until(2511)},
		parameter{name: "probe_opt_en", span: since(2503)},
		parameter{name: "txq_mem_algn", span: since(2507)},
		parameter{name: "tx_burst_bound", span: since(2607)},
		parameter{name: "tx_typical_pkt_sz", span: since(2607)},
	),
	"net_vhost": named("iface", "queues", "client", "iommu-support", "postcopy-support", "tso", "linear-buffer", "ext-buffer", "legacy-ol-flags"),
	"net_virtio_user": named("queues", "cq", "mac", "path", "queue_size", "iface", "server", "mrg_rxbuf", "in_order", "packed_vq",
		"speed", "vectorized"),
	"net_memif": append(named("id", "role", "bsize", "rsize", "socket", "socket-abstract", "mac", "zero-copy", "secret"),
		parameter{name: "owner-uid", span: since(2303)},
		parameter{name: "owner-gid", span: since(2303)},
	),
	"net_af_packet": append(named("iface", "qpairs", "blocksz", "framesz", "framecnt", "qdisc_bypass"),
		parameter{name: "fanout_mode", span: since(2503)},
	),
	"net_tap":  named("iface", "remote", "mac", "persist"),
	"net_null": named("size", "copy", "no-rx"),
	"net_ring": named("nodeaction", "internal"),
	"net_pcap": append(named("rx_pcap", "tx_pcap", "rx_iface", "rx_iface_in", "tx_iface", "iface", "phy_mac", "infinite_rx"),
		parameter{name: "eof", span: since(2607)},
		parameter{name: "snaplen", span: since(2607)},
	),
}

// parameter is an argument that a driver takes in some releases, and how to say it in
// the others.
type parameter struct {
	span
	name, instead string
}

func named(names ...string) []parameter {
	all := make([]parameter, len(names))
	for i, name := range names {
		all[i].name = name
	}
	return all
}
