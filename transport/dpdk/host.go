//go:build dpdk

package dpdk

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// What the host's files say before EAL is asked: its own answers are terse, and
// it starts only once.

// sys is where the kernel tells of devices.
var sys = "/sys"

func pciDir(address string) string { return filepath.Join(sys, "bus/pci/devices", address) }

var (
	// userDrivers hand a device over to a process.
	userDrivers = []string{"vfio-pci", "igb_uio", "uio_pci_generic"}
	// sharedDrivers serve kernel and process at once.
	sharedDrivers = []string{"mlx5_core", "mlx4_core"}
)

// locate checks that a device can be opened, and finds the PCI address of an
// interface.
func locate(d device) (device, error) {
	switch d.kind {
	case netInterface:
		link, err := os.Readlink(filepath.Join(sys, "class/net", d.name, "device"))
		if errors.Is(err, fs.ErrNotExist) {
			return d, wrong("device", "there is no interface %s that is a PCI device: list the devices by dpdk-devbind.py --status, "+
				"or name a virtual device, such as net_af_packet0,iface=%s", d.name, d.name)
		}
		if err != nil {
			return d, fmt.Errorf("dpdk: cannot look up the device of interface %s: %w", d.name, err)
		}
		d.kind, d.name = pciDevice, filepath.Base(link)
		return d, checkPCI(d.name)
	case pciDevice:
		return d, checkPCI(d.name)
	}
	return d, checkPeer(d)
}

func checkPCI(address string) error {
	dir := pciDir(address)
	if _, err := os.Stat(dir); err != nil {
		return wrong("device", "there is no PCI device %s: list the devices by dpdk-devbind.py --status", address)
	}
	bind := fmt.Sprintf("modprobe vfio-pci && dpdk-devbind.py -b vfio-pci %s", address)
	switch vendor(dir) {
	case mellanox:
		bind = fmt.Sprintf("echo %s > /sys/bus/pci/drivers/mlx5_core/bind, since DPDK shares this kind with the kernel (docs/mellanox.md)", address)
	case amazon:
		bind += " (docs/aws.md says how without an IOMMU, and with write-combining)"
	}
	link, err := os.Readlink(filepath.Join(dir, "driver"))
	if err != nil {
		return wrong("device", "%s is bound to no driver: bind it to one for processes: %s", address, bind)
	}
	driver := filepath.Base(link)
	if slices.Contains(userDrivers, driver) || slices.Contains(sharedDrivers, driver) {
		return nil
	}
	interfaces, _ := filepath.Glob(filepath.Join(dir, "net", "*"))
	for i := range interfaces {
		interfaces[i] = filepath.Base(interfaces[i])
	}
	return wrong("device", "%s is bound to the kernel's driver %s (interfaces %v): if this machine can do without it, "+
		"bind it to one for processes: %s", address, driver, interfaces, bind)
}

// PCI vendors whose devices are bound in a way of their own.
const mellanox, amazon = "0x15b3", "0x1d0f"

func vendor(dir string) string {
	text, _ := os.ReadFile(filepath.Join(dir, "vendor"))
	return strings.TrimSpace(string(text))
}

// driverNamed is the driver, by its name in parameters, that takes a device; empty if
// none there does.
func driverNamed(d device) string {
	if d.kind == virtualDevice {
		return driverOf(d.name)
	}
	switch bound, _ := os.Readlink(filepath.Join(pciDir(d.name), "driver")); {
	case vendor(pciDir(d.name)) == amazon:
		return "net_ena"
	case filepath.Base(bound) == "mlx5_core":
		return "mlx5_pci"
	}
	return ""
}

// numaNode is the node that a device is attached to, or -1.
func numaNode(d device) int {
	text, err := os.ReadFile(filepath.Join(pciDir(d.name), "numa_node"))
	if err != nil {
		return -1
	}
	node, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return node
}

// checkPeer looks at how a virtual device finds its peer: its socket, and what
// its driver is known not to do right.
func checkPeer(d device) error {
	driver := strings.TrimRight(d.name, "0123456789")
	switch {
	case driver == "net_vhost" && d.arg("client") != "1":
		return listenAt(d.arg("iface"), "iface")
	case driver == "net_virtio_user" && d.arg("server") == "1":
		return listenAt(d.arg("path"), "path")
	case driver == "net_virtio_user" && strings.HasPrefix(d.arg("path"), "/") && !strings.HasPrefix(d.arg("path"), "/dev/"):
		path := d.arg("path")
		if info, err := os.Stat(path); err != nil || info.Mode()&fs.ModeSocket == 0 {
			return wrong("device", "nothing listens at %s: start the vhost side first, or add server=1 here and client=1 there", path)
		}
	case driver == "net_memif" && d.arg("zero-copy") == "yes":
		return wrong("device", "net_memif (22.11) with zero-copy=yes keeps packets when it is closed, and does not connect again: leave it out")
	case driver == "net_memif" && d.arg("role") == "server" && d.arg("socket-abstract") == "no":
		return listenAt(d.arg("socket"), "socket")
	}
	return nil
}

// listenAt makes sure that a socket can be made at path: what a dead process
// left there goes.
func listenAt(path, arg string) error {
	if path == "" {
		return wrong("device", "the argument %s is missing: give the path of the socket that the peer connects to", arg)
	}
	if dir := filepath.Dir(path); !isDir(dir) {
		return wrong("device", "%s=%s: there is no directory %s: create it", arg, path, dir)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return wrong("device", "%s=%s is a file, and no socket: give another path", arg, path)
	}
	if !stale(path) {
		return wrong("device", "%s=%s is in use by a running process: give another path, or stop that process", arg, path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("dpdk: cannot remove the socket that a dead process left: %w", err)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// stale says that nobody listens at a socket.
func stale(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// freeHugepages is the MB of free hugepages of the size that has most of them.
func freeHugepages() int {
	most := 0
	sizes, _ := filepath.Glob(filepath.Join(sys, "kernel/mm/hugepages/hugepages-*kB"))
	for _, dir := range sizes {
		var kB, free int
		if _, err := fmt.Sscanf(filepath.Base(dir), "hugepages-%dkB", &kB); err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "free_hugepages"))
		if err != nil {
			continue
		}
		if free, err = strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			most = max(most, free*kB/1024)
		}
	}
	return most
}
