package dpdk

import (
	"regexp"
	"strings"
)

// device is Config.Device taken apart.
type device struct {
	kind deviceKind
	name string
	args string // of its driver
}

type deviceKind int

const (
	pciDevice deviceKind = iota
	virtualDevice
	netInterface
)

var (
	pciPattern       = regexp.MustCompile(`^([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)
	virtualPattern   = regexp.MustCompile(`^net_[a-z0-9_]+$`)
	interfacePattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)
)

func parseDevice(text string) (device, error) {
	name, args, _ := strings.Cut(text, ",")
	if pci := strings.ToLower(name); pciPattern.MatchString(pci) {
		if strings.Count(pci, ":") == 1 {
			pci = "0000:" + pci
		}
		return device{pciDevice, pci, args}, nil
	}
	if virtualPattern.MatchString(name) {
		return device{virtualDevice, name, args}, nil
	}
	if interfacePattern.MatchString(name) {
		return device{netInterface, name, args}, nil
	}
	return device{}, wrong("device", "%q is no device: write a PCI address (0000:00:06.0), the name of a network interface, "+
		"or a virtual device (net_virtio_user0,path=/run/p.sock)", text)
}

// arg returns the value of one of the driver's arguments.
func (d device) arg(key string) string {
	for arg := range strings.SplitSeq(d.args, ",") {
		if k, v, _ := strings.Cut(arg, "="); k == key {
			return v
		}
	}
	return ""
}

// devargs is the device as EAL takes it.
func (d device) devargs() string {
	if d.args == "" {
		return d.name
	}
	return d.name + "," + d.args
}
