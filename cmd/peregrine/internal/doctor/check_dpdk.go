package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// What DPDK's devices take in packet memory unless told (the key memory), in MB.
const dpdkMemory = 256

const (
	amazon   = "0x1d0f"
	mellanox = "0x15b3"
)

// handing are the drivers that hand a card to a process.
var handing = []string{"vfio-pci", "igb_uio", "uio_pci_generic"}

func checkDPDK(r *report) {
	if !slices.Contains(r.Asked.Built, "dpdk") {
		r.find("dpdk-not-built", "This program has no DPDK.",
			"sudo apt-get install libdpdk-dev pkg-config gcc",
			"go build -tags dpdk ./cmd/peregrine     # docs/dpdk.md has what to do where pkg-config's flags are refused")
		if r.Asked.Backend != "dpdk" {
			return
		}
	}
	d := r.dpdkDevice()
	if d == nil {
		return // a virtual device does without all of it
	}
	if r.Asked.Backend == "dpdk" {
		r.checkCard(d)
	}
	if free := r.Memory.hugeFree(-1); free < dpdkMemory {
		const page = 2
		r.find("dpdk-hugepages", fmt.Sprintf("%d MB of hugepages are free; a device takes %d MB (memory).", free, dpdkMemory),
			fmt.Sprintf("echo %d | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages     # %d MB, until the next boot", 2*dpdkMemory/page, 2*dpdkMemory),
			fmt.Sprintf("echo 'vm.nr_hugepages = %d' | sudo tee -a /etc/sysctl.d/90-peregrine.conf     # after a reboot", 2*dpdkMemory/page))
	} else if d.Node >= 0 && len(r.Memory.Nodes) > 1 && r.Memory.hugeFree(d.Node) < dpdkMemory {
		r.find("dpdk-huge-node", fmt.Sprintf("Node %d, which the card is on, has %d MB of hugepages free.", d.Node, r.Memory.hugeFree(d.Node)),
			fmt.Sprintf("echo 256 | sudo tee /sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages", d.Node))
	}
}

// dpdkDevice is the card that is asked about.
func (r *report) dpdkDevice() *Device {
	if r.Asked.PCI != "" {
		return r.device(r.Asked.PCI)
	}
	if r.NIC != nil {
		return r.device(r.NIC.PCI)
	}
	return nil
}

func (r *report) checkCard(d *Device) {
	if d.Vendor == mellanox {
		r.checkConnectX(d)
		return
	}
	if d.Driver != "vfio-pci" && r.Host.Lockdown != "" && r.Host.Lockdown != "none" {
		r.find("dpdk-lockdown", "The kernel is locked down: "+r.Host.Lockdown+".", "Take vfio-pci with an IOMMU, or boot without secure boot.")
	}
	if r.Process.UID != 0 && !(d.Driver == "vfio-pci" && d.IOMMU) { // else /dev/vfio may be anybody's
		r.find("dpdk-privileges", "This process is not root's.", "sudo peregrine serve 'dpdk://"+d.Address+"?ip=…' --plain")
	}
	if slices.Contains(handing, d.Driver) {
		r.checkHanded(d)
		return
	}
	if r.NIC != nil && r.NIC.DefaultRoute {
		r.find("dpdk-only-interface", r.NIC.Name+" has the default route: you may be here by it.", "Give the host a second interface, and DPDK that one.")
	}
	driver, do := "vfio-pci", []string{"sudo modprobe vfio-pci"}
	if d.Vendor == amazon {
		driver, do = "igb_uio", []string{"sudo apt-get install dpdk-kmods-dkms && sudo modprobe uio && sudo modprobe igb_uio wc_activate=1     # docs/aws.md, section 5"}
	}
	for _, name := range d.Interfaces {
		do = append(do, "sudo ip link set "+name+" down")
	}
	bound := "bound to no driver"
	if d.Driver != "" {
		bound = "bound to " + d.Driver
	}
	r.find("dpdk-driver", d.Address+" is "+bound+".", append(do, "sudo dpdk-devbind.py --bind="+driver+" "+d.Address)...)
}

func (r *report) checkConnectX(d *Device) {
	if lacks := r.Process.lacks("NET_RAW", "NET_ADMIN", "IPC_LOCK"); len(lacks) > 0 {
		r.find("dpdk-privileges", "This process lacks "+strings.Join(lacks, ", ")+".",
			"sudo setcap cap_net_raw,cap_net_admin,cap_sys_rawio,cap_ipc_lock+ep ./peregrine     # again after each build; docs/mellanox.md")
	}
	if d.Driver != "mlx5_core" && d.Driver != "mlx4_core" {
		r.find("dpdk-mlx5-driver", d.Address+" is bound to "+orNone(slices.DeleteFunc([]string{d.Driver}, func(s string) bool { return s == "" }))+".",
			"sudo dpdk-devbind.py --bind=mlx5_core "+d.Address)
	}
	for _, module := range []string{"mlx5_ib", "ib_uverbs"} {
		if !r.Host.Modules[module] {
			r.find("dpdk-mlx5-modules", "The kernel module "+module+" is not loaded.", "sudo modprobe -a ib_uverbs mlx5_ib", "sudo apt-get install ibverbs-providers")
			return
		}
	}
}

// checkHanded is about a card that a process can have already.
func (r *report) checkHanded(d *Device) {
	unsafe := r.Host.Parameters["vfio.enable_unsafe_noiommu_mode"]
	if d.Driver == "vfio-pci" && !d.IOMMU && unsafe != "Y" && unsafe != "1" {
		r.find("dpdk-iommu", fmt.Sprintf("%s is in no IOMMU group (%d groups on this host).", d.Address, r.Host.IOMMUGroups),
			"Boot with intel_iommu=on iommu=pt (AMD: amd_iommu=on iommu=pt), where there is an IOMMU.",
			"echo 1 | sudo tee /sys/module/vfio/parameters/enable_unsafe_noiommu_mode     # nothing keeps the card from any memory then")
	}
	if d.Vendor != amazon {
		return
	}
	switch {
	case d.Driver == "igb_uio" && r.Host.Parameters["igb_uio.wc_activate"] != "1":
		r.find("dpdk-write-combining", "igb_uio is loaded without wc_activate=1.", "sudo modprobe -r igb_uio && sudo modprobe igb_uio wc_activate=1     # docs/aws.md, section 5")
	case d.Driver == "vfio-pci":
		r.find("dpdk-write-combining", "vfio-pci maps no memory write-combining unless it is patched, which cannot be seen from here.",
			"sudo grep -i write-combining /sys/kernel/debug/x86/pat_memtype_list     # while it runs; docs/aws.md, section 6", "Or igb_uio with wc_activate=1.")
	}
}
