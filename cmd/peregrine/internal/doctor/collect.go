package doctor

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Collect finds out what there is to know. files is the host's root folder, of
// which /proc, /sys, /run and little more is read. The error says that what the
// user asked about is not there.
func Collect(files fs.FS, probes Probes, asked Asked) (*Facts, error) {
	t := &tree{files: files}
	f := &Facts{Asked: asked, Process: process(t), CPU: processors(t), Memory: memory(t)}
	f.Host = host(t, f.CPU)
	f.Devices = devices(t)
	if err := f.chooseInterface(t); err != nil {
		return nil, err
	}
	f.Probed = probes.Backends()
	if name := f.Asked.Interface; name != "" {
		f.NIC = nic(t, name, f.Devices)
		f.NIC.Told = probes.Interface(name)
		f.NIC.finish()
	}
	f.Unseen = t.unseen
	return f, nil
}

// chooseInterface completes what was asked: of a device its interface, and of
// nothing the interface of the default route.
func (f *Facts) chooseInterface(t *tree) error {
	a := &f.Asked
	if a.PCI != "" {
		d := f.device(a.PCI)
		if d == nil {
			var have []string
			for _, d := range f.Devices {
				have = append(have, d.Address)
			}
			return fmt.Errorf("there is no network device %s on the PCI bus: there are %s", a.PCI, orNone(have))
		}
		if len(d.Interfaces) > 0 {
			a.Interface = d.Interfaces[0]
		}
		return nil
	}
	if a.Interface == "" && a.Backend == "dpdk" {
		return nil // a virtual device is no interface
	}
	if a.Interface == "" {
		a.Interface = parseDefaultRoute(t.text("proc/net/route"))
	}
	if a.Interface == "" {
		a.Interface = parseDefaultRoute6(t.text("proc/net/ipv6_route"))
	}
	if below := lower(t, a.Interface); below != "" {
		a.Interface = below
	}
	if a.Interface != "" && !validName(a.Interface) || a.Interface != "" && !t.has("sys/class/net", a.Interface) {
		return fmt.Errorf("there is no interface %q: there are %s", a.Interface, orNone(t.names("sys/class/net")))
	}
	return nil
}

// lower is the one interface that another, such as a VLAN, is on; empty for what has
// a device of its own, or several below.
func lower(t *tree, name string) string {
	folder := "sys/class/net/" + name
	if !validName(name) || t.has(folder, "device") {
		return ""
	}
	found := ""
	for _, entry := range t.names(folder) {
		if below, ok := strings.CutPrefix(entry, "lower_"); ok {
			if found != "" {
				return ""
			}
			found = below
		}
	}
	return found
}

// validName keeps names from being paths.
func validName(name string) bool {
	return len(name) < 16 && fs.ValidPath(name) && !strings.Contains(name, "/") && name != "."
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// sysctls are those that findings look at.
var sysctls = []string{
	"net.core.rmem_max", "net.core.wmem_max", "net.core.busy_poll", "net.core.busy_read", "net.core.bpf_jit_enable",
	"kernel.io_uring_disabled", "kernel.numa_balancing",
}

// modules are those that findings look at.
var modules = []string{"mlx5_ib", "ib_uverbs"}

// parameters are modules' that findings look at.
var parameters = []string{"vfio.enable_unsafe_noiommu_mode", "igb_uio.wc_activate"}

func host(t *tree, cpu CPU) Host {
	h := Host{
		Kernel:       parseVersion(t.text("proc/version")),
		Vendor:       t.text("sys/class/dmi/id/sys_vendor"),
		Product:      t.text("sys/class/dmi/id/product_name"),
		Lockdown:     parseChosen(t.text("sys/kernel/security/lockdown")),
		Clocksource:  t.text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
		Clocksources: strings.Fields(t.text("sys/devices/system/clocksource/clocksource0/available_clocksource")),
		Sysctl:       map[string]string{},
		Modules:      map[string]bool{},
		Parameters:   map[string]string{},
		IOMMUGroups:  len(t.names("sys/kernel/iommu_groups")),
		IRQBalance:   t.has("run/irqbalance"),
		UDP:          parseSNMP(t.text("proc/net/snmp"), "Udp"),
	}
	h.Cloud = cloud(h.Vendor, h.Product, t.text("sys/class/dmi/id/bios_version"))
	h.Container = container(t)
	for _, name := range sysctls {
		if value := t.text("proc/sys", strings.ReplaceAll(name, ".", "/")); value != "" {
			h.Sysctl[name] = value
		}
	}
	for _, name := range modules {
		if t.has("sys/module", name) {
			h.Modules[name] = true
		}
	}
	for _, name := range parameters {
		module, parameter, _ := strings.Cut(name, ".")
		if value := t.text("sys/module", module, "parameters", parameter); value != "" {
			h.Parameters[name] = value
		}
	}
	return h
}

func cloud(vendor, product, bios string) string {
	switch {
	case vendor == "Amazon EC2", strings.Contains(bios, "amazon"):
		return "aws"
	case vendor == "Google":
		return "gcp"
	case vendor == "Microsoft Corporation" && product == "Virtual Machine":
		return "azure"
	}
	return ""
}

// container names what this process is kept in.
func container(t *tree) string {
	cgroup := t.text("proc/self/cgroup")
	switch {
	case strings.Contains(cgroup, "kubepods"), t.has("run/secrets/kubernetes.io"), t.has("var/run/secrets/kubernetes.io"):
		return "kubernetes"
	case t.has("run/.containerenv"):
		return "podman"
	case t.has(".dockerenv") && !onDisk(t.text("proc/mounts")), strings.Contains(cgroup, "/docker"):
		return "docker"
	case strings.Contains(cgroup, "/lxc"):
		return "lxc"
	}
	return t.text("run/systemd/container")
}

// onDisk tells whether the root folder is on a device of its own, as of a virtual
// machine that was made from a container's image.
func onDisk(mounts string) bool {
	for line := range strings.Lines(mounts) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "/" {
			return strings.HasPrefix(f[0], "/dev/")
		}
	}
	return false
}

func process(t *tree) Process {
	status := parseKeyed(t.text("proc/self/status"))
	limits := t.text("proc/self/limits")
	p := Process{
		UID:          leading(strings.ReplaceAll(status["Uid"], "\t", " ")),
		Capabilities: parseCapabilities(status["CapEff"]),
		Seccomp:      leading(status["Seccomp"]),
		Memlock:      parseLimit(limits, "Max locked memory"),
		Allowed:      parseList(status["Cpus_allowed_list"]),
	}
	// The host's own namespace maps all numbers onto themselves.
	if ids := strings.Fields(t.text("proc/self/uid_map")); len(ids) >= 3 {
		p.UserNamespace = ids[0] != "0" || ids[1] != "0" || ids[2] != "4294967295"
	}
	p.quota(t)
	return p
}

// quota reads how much time the control group, or any above it, gets.
func (p *Process) quota(t *tree) {
	unified, older := parseCgroup(t.text("proc/self/cgroup"))
	tighten := func(quota float64) {
		if quota > 0 && (p.Quota == 0 || quota < p.Quota) {
			p.Quota = quota
		}
	}
	for _, folder := range upwards("sys/fs/cgroup", unified) {
		tighten(parseQuota(t.text(folder, "cpu.max")))
		p.Throttled = max(p.Throttled, throttled(t.text(folder, "cpu.stat")))
	}
	for _, folder := range upwards("sys/fs/cgroup/cpu", older["cpu"]) {
		tighten(ratio(t.text(folder, "cpu.cfs_quota_us"), t.text(folder, "cpu.cfs_period_us")))
		p.Throttled = max(p.Throttled, throttled(t.text(folder, "cpu.stat")))
	}
}

// upwards lists a folder below root and those above it, root included.
func upwards(root, below string) []string {
	folders := []string{root}
	below = strings.Trim(below, "/")
	if below == "" || !fs.ValidPath(below) {
		return folders
	}
	path := root
	for part := range strings.SplitSeq(below, "/") {
		path += "/" + part
		folders = append(folders, path)
	}
	slices.Reverse(folders)
	return folders
}

func throttled(stat string) uint64 {
	for line := range strings.Lines(stat) {
		if rest, ok := strings.CutPrefix(line, "nr_throttled "); ok {
			return uint64(max(0, leading(rest)))
		}
	}
	return 0
}
