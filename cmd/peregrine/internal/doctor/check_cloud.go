package doctor

import (
	"fmt"
	"strings"
)

// allowances are ENA's counters of packets that the instance's limits held up.
var allowances = []struct{ counter, limit string }{
	{"bw_in_allowance_exceeded", "bandwidth in"},
	{"bw_out_allowance_exceeded", "bandwidth out"},
	{"pps_allowance_exceeded", "packets a second"},
	{"conntrack_allowance_exceeded", "tracked connections"},
	{"linklocal_allowance_exceeded", "packets to local services (DNS, metadata, time)"},
}

func checkENA(r *report) {
	n := r.NIC
	if n == nil || n.Driver != "ena" {
		return
	}
	var exceeded []string
	for _, a := range allowances {
		if c := n.Told.Counters[a.counter]; c > 0 {
			exceeded = append(exceeded, fmt.Sprintf("%s %d (%s)", a.limit, c, a.counter))
		}
	}
	if len(exceeded) > 0 {
		do := []string{"ethtool -S " + n.Name + " | grep allowance     # twice: does it still grow?"}
		if n.Told.Counters["pps_allowance_exceeded"] > 0 {
			do = append(do, "Fewer, larger packets: leave coalescing on, and the MTU at 9001 inside the VPC.")
		}
		if n.Told.Counters["bw_out_allowance_exceeded"] > 0 {
			do = append(do, "A congestion controller, which keeps below what passes: peregrine serve --cc swift.")
		}
		if n.Told.Counters["conntrack_allowance_exceeded"] > 0 {
			do = append(do, "A security group rule that admits the port from 0.0.0.0/0 is not tracked; or a larger instance.")
		}
		r.find("ena-allowance", "The instance exceeded its allowance of "+strings.Join(exceeded, ", ")+".", do...)
	}
	r.checkENADriver(n)
	if c := n.Told.Channels; c != nil && c.MaxCombined > 0 && c.MaxCombined < len(r.CPU.Online) {
		r.find("ena-queue-count", fmt.Sprintf("%s can have %s, on %d CPUs.", n.Name, count(c.MaxCombined, "queue"), len(r.CPU.Online)),
			"aws ec2 describe-instance-types --instance-types "+r.instance()+" --query 'InstanceTypes[].NetworkInfo'",
			"Launch with EnaQueueCount where the type allows it.")
	}
	what := "Peregrine has one flow for each pair of loops."
	if n.Told.Counters["ena_srd_mode"]&1 != 0 {
		what += " ENA Express is on for this interface."
	}
	r.find("ena-flow", what, "As many loops at both ends as bandwidth needs flows; whether this is a cluster placement group, only AWS tells: "+
		"aws ec2 describe-instances --query 'Reservations[].Instances[].Placement'.")
}

// instance is the type of this one, as AWS's firmware names it.
func (r *report) instance() string {
	if strings.Contains(r.Host.Product, ".") {
		return r.Host.Product
	}
	return "TYPE"
}

func (r *report) checkENADriver(n *NIC) {
	const how = "Install Amazon's driver (github.com/amzn/amzn-drivers), or take Amazon Linux, which carries it."
	version := n.Told.Version
	switch v := parseVersion(version); {
	case !amazons(version):
		r.find("ena-driver", n.Name+" runs the kernel's own ENA driver ("+version+"), which has no zero-copy.", how)
	case v.Before(2, 13):
		r.find("ena-driver", n.Name+" runs ENA driver "+version+": neither dependable zero-copy nor flow steering.", how)
	case v.Before(2, 17):
		r.find("ena-driver", n.Name+" runs ENA driver "+version+": with an XDP program, half of the queues at most.", how)
	}
}

func checkVirtio(r *report) {
	n := r.NIC
	if n == nil || n.Driver != "virtio_net" {
		return
	}
	if c := n.Told.Channels; c != nil && c.MaxCombined == 1 && len(r.CPU.Online) > 1 {
		r.find("virtio-queues", n.Name+" has 1 queue, and can have no more.",
			"Of the hypervisor: QEMU -netdev …,vhost=on,queues=N -device virtio-net-pci,mq=on; libvirt <driver name='vhost' queues='N'/>.")
	}
}

func checkMlx5(r *report) {
	n := r.NIC
	if n == nil || n.Driver != "mlx5_core" {
		return
	}
	if n.Told.Flags["rx_cqe_compress"] {
		r.find("mlx5-compression", "rx_cqe_compress is on on "+n.Name+".", "sudo ethtool --set-priv-flags "+n.Name+" rx_cqe_compress off")
	}
}
