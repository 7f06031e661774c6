//go:build dpdk

package dpdk

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// environment is what the devices of a process share: the keys of a Config that
// EAL got when it started.
type environment struct {
	lcores, hugepages, filePrefix, logLevel, args string
	memory, socket                                int
}

func (c *Config) environment() environment {
	return environment{
		c.Lcores, c.Hugepages, c.FilePrefix, c.LogLevel, strings.Join(c.EALArgs, " "),
		c.Memory, c.Socket,
	}
}

// agree says which key differs from those that EAL was started with.
func (e environment) agree(started environment) error {
	for _, k := range []struct {
		key       string
		now, then any
	}{
		{"lcores", e.lcores, started.lcores},
		{"hugepages", e.hugepages, started.hugepages},
		{"memory", e.memory, started.memory},
		{"file_prefix", e.filePrefix, started.filePrefix},
		{"socket", e.socket, started.socket},
		{"log_level", e.logLevel, started.logLevel},
		{"eal_args", e.args, started.args},
	} {
		if k.now != k.then {
			return wrong(k.key, "EAL starts once in a process, and a device was opened with %q: give all devices that, not %q", fmt.Sprint(k.then), fmt.Sprint(k.now))
		}
	}
	return nil
}

// noDevice is an allow-list of nothing: EAL takes every device that it has a
// driver for unless it gets a list.
const noDevice = "ffff:ff:1f.7"

// ealArgs is the command line for EAL, on a host that first opens that device.
func ealArgs(c *Config, first device) ([]string, error) {
	if err := checkOptions(c.EALArgs, libraryRelease()); err != nil {
		return nil, err
	}
	own := [][]string{{"--no-telemetry"}, {"--log-level=*:" + c.LogLevel}}
	lcores := c.Lcores
	if lcores == "" {
		// One lcore, the control thread, on any of the CPUs it may have now.
		cpus, err := allowedCPUs()
		if err != nil {
			return nil, err
		}
		lcores = "0@(" + cpus + ")"
	}
	own = append(own, []string{"--lcores=" + lcores})

	allow := noDevice
	socket := c.Socket
	if first.kind == pciDevice {
		allow = first.devargs()
		if socket < 0 {
			socket = numaNode(first)
		}
	}
	own = append(own, []string{"-a", allow})

	free := freeHugepages()
	needed := c.Hugepages == "on" || c.Hugepages == "auto" && first.kind == pciDevice
	if needed && free < c.Memory {
		return nil, wrong("hugepages", "%d MB are free and %d MB are wanted: reserve them (echo %d > /proc/sys/vm/nr_hugepages), "+
			"lower memory, or give hugepages=off", free, c.Memory, (c.Memory+1)/2)
	}
	memory := []string{"-m", strconv.Itoa(c.Memory)}
	if c.Hugepages != "off" && free >= c.Memory {
		if socket >= 0 {
			memory = []string{"--socket-mem", strings.Repeat("0,", socket) + strconv.Itoa(c.Memory)}
		}
		own = append(own, []string{"--in-memory"}, []string{"--single-file-segments"}, memory)
	} else { // which means a single file as well
		own = append(own, []string{"--no-huge"}, []string{"--no-shconf"}, memory)
	}
	prefix := c.FilePrefix
	if prefix == "" {
		prefix = fmt.Sprintf("peregrine-%d", os.Getpid())
	}
	own = append(own, []string{"--file-prefix=" + prefix})
	return slices.Concat([]string{"peregrine"}, without(own, c.EALArgs), c.EALArgs), nil
}

// allowedCPUs lists the CPUs of this thread that EAL can count.
func allowedCPUs() (string, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return "", fmt.Errorf("dpdk: cannot read the thread's CPUs: %w", err)
	}
	var cpus []string
	for cpu := range maxLcores {
		if set.IsSet(cpu) {
			cpus = append(cpus, strconv.Itoa(cpu))
		}
	}
	if len(cpus) == 0 {
		return "", fmt.Errorf("dpdk: this process may use none of the CPUs 0 to %d, which is all that EAL knows: change its affinity", maxLcores-1)
	}
	return strings.Join(cpus, ","), nil
}

// startEAL starts EAL for this process, on a locked thread, whose CPUs stay what
// they were.
func startEAL(c *Config, first device) error {
	args, err := ealArgs(c, first)
	if err != nil {
		return err
	}
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		return fmt.Errorf("dpdk: cannot read the thread's CPUs: %w", err)
	}
	err = ealInit(args)
	if restored := unix.SchedSetaffinity(0, &cpus); restored != nil && err == nil {
		err = fmt.Errorf("cannot give the control thread its CPUs back: %w", restored)
	}
	if err != nil {
		return &startError{fmt.Errorf("dpdk: EAL did not start with %q: %w. It starts only once in a process: restart this one then",
			args[1:], explained(err))}
	}
	return nil
}

// startError is a failure of EAL itself: a second attempt is in vain.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// explained adds to an error what EAL logged since, and the remedy for what is
// known among that.
func explained(err error) error {
	log := ealLog()
	said := "its log says nothing: give log_level=debug"
	if log != "" {
		said = "it says: " + log
	}
	for _, k := range []struct{ words, remedy string }{
		{"failed to parse device", "libdpdk has no driver of that name: see the list of net_* in the directory of its drivers, and write name and number, as in net_vhost0"},
		{"No such device", "name an interface that is there: see ip link"},
		{"Connection refused", "nobody listens at that socket any more: start the other side first"},
		{"hugepage", "reserve hugepages (echo 128 > /proc/sys/vm/nr_hugepages), or give hugepages=off"},
		{"mmap() failed", "there is too little memory: lower memory"},
		{"Permission denied", "run as root, or give this user the device's files (/dev/vfio/*, /dev/uio*, the socket) and a sufficient ulimit -l"},
		{"Operation not permitted", "run as root, or with the capabilities NET_RAW, NET_ADMIN, SYS_RAWIO and IPC_LOCK"},
		{"physical addresses are not available", "run as root, with hugepages: without an IOMMU the device needs physical addresses"},
		{"IOVA mode", "open this device before the others, or give the mode that it wants by eal_args=--iova-mode=pa or va"},
		{"VFIO group is not viable", "bind all devices of its IOMMU group to vfio-pci"},
		{"Address already in use", "a process uses that socket, or one that died left it: give another path, or remove it"},
	} {
		if strings.Contains(log, k.words) {
			return fmt.Errorf("%w; %s; %s", err, said, k.remedy)
		}
	}
	for _, b := range badArguments {
		if strings.Contains(log, b.words) {
			return fmt.Errorf("%w; %s; correct lcores, file_prefix or eal_args: EAL printed what it takes", err, said)
		}
	}
	return fmt.Errorf("%w; %s", err, said)
}

// lastLines is the end of a log on one line.
func lastLines(log string) string {
	lines := slices.DeleteFunc(strings.Split(log, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	if len(lines) > 8 {
		lines = lines[len(lines)-8:]
	}
	return strings.Join(slices.Compact(lines), " | ")
}
