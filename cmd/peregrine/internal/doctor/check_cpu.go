package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func checkCPUs(r *report) {
	c, p := &r.CPU, &r.Process
	usable := len(c.Online)
	if len(p.Allowed) > 0 {
		usable = min(usable, len(p.Allowed))
	}
	if usable == 1 {
		r.find("cpu-few", "This process has one CPU.", "A second one; with one, --poll block.")
	}
	if p.Quota > 0 && p.Quota < float64(usable) {
		what := fmt.Sprintf("The control group gets %.3g CPUs' time.", p.Quota)
		if p.Throttled > 0 {
			what += fmt.Sprintf(" It was stopped %s.", count(int(p.Throttled), "time"))
		}
		r.find("cpu-quota", what, "Take away the quota (Kubernetes: a whole number of CPUs as request and limit, with the static CPU manager), "+
			"or let loops sleep: --poll block or adaptive.", "cat /sys/fs/cgroup/cpu.stat     # nr_throttled")
	}
	if c.Load > float64(len(c.Online)) && len(c.Online) > 0 {
		r.find("cpu-busy", fmt.Sprintf("%.3g tasks wanted to run over the last minute, on %s.", c.Load, count(len(c.Online), "CPU")),
			"top     # who; measure when they are done, or give loops CPUs of their own (cpu-isolation)")
	}
	const little = 0.02
	if c.Stolen > little {
		r.find("cpu-stolen", fmt.Sprintf("%.0f %% of the CPUs' time since boot was stolen.", 100*c.Stolen),
			"A dedicated or larger instance; of your own hypervisor, pinned vCPUs.")
	}
	if source := r.Host.Clocksource; source != "" && !cheapClock(source) {
		do := []string{"Boot with clocksource=tsc tsc=reliable, if the hypervisor's clock is known to be good."}
		if slices.Contains(r.Host.Clocksources, "tsc") {
			do = []string{"echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource", "Boot with clocksource=tsc to keep it."}
		}
		r.find("cpu-clocksource", "The clock source is "+source+".", do...)
	}
}

// cheapClock tells sources that are read without a system call.
func cheapClock(source string) bool {
	switch source {
	case "tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page":
		return true
	}
	return false
}

// chosen are the CPUs that loops are to have, or could have.
func (r *report) chosen() []int {
	if len(r.Asked.CPUs) > 0 {
		return r.Asked.CPUs
	}
	return r.candidates()
}

// mostSuggested is how many CPUs are named: more is a list that nobody reads.
const mostSuggested = 8

// TwoCPUs are those to measure between: the first that loops are to have or suit
// them, and then any that this process may use; the same one if there is no other.
func (f *Facts) TwoCPUs() (one, other int) {
	r := &report{Facts: f}
	list := slices.Concat(r.Asked.CPUs, r.candidates(), f.Process.Allowed, f.CPU.Online)
	list = slices.DeleteFunc(list, func(cpu int) bool {
		return len(f.Process.Allowed) > 0 && !slices.Contains(f.Process.Allowed, cpu)
	})
	if len(list) == 0 {
		return 0, 0
	}
	for _, cpu := range list {
		if cpu != list[0] {
			return list[0], cpu
		}
	}
	return list[0], list[0]
}

// candidates are CPUs that suit loops: allowed, near the card, one a core, isolated
// ones if there are any, and none of CPU 0's core but for want of others.
func (r *report) candidates() []int {
	node := -1
	if r.NIC != nil && len(r.Memory.Nodes) > 1 {
		node = r.NIC.Node
	}
	taken := map[int]bool{}
	var fit []int
	for _, core := range r.CPU.Cores {
		switch {
		case len(r.Process.Allowed) > 0 && !slices.Contains(r.Process.Allowed, core.CPU),
			node >= 0 && core.Node != node,
			len(r.CPU.Isolated) > 0 && !slices.Contains(r.CPU.Isolated, core.CPU),
			taken[core.CPU],
			slices.Contains(core.Siblings, 0) && len(r.CPU.Online) > 2, core.CPU == 0 && len(r.CPU.Online) == 2:
			continue
		}
		for _, sibling := range core.Siblings {
			taken[sibling] = true
		}
		if fit = append(fit, core.CPU); len(fit) == mostSuggested {
			break
		}
	}
	return fit
}

func checkChosenCPUs(r *report) {
	if len(r.Asked.CPUs) == 0 {
		if list := r.candidates(); len(list) > 0 {
			r.find("cpu-choice", "CPUs for loops: "+numbers(list)+".", fmt.Sprintf("peregrine serve --cpu %d --poll busy     # of several loops: cpus: [%s] in a file", list[0], numbers(list)))
		}
	}
	for i, cpu := range r.Asked.CPUs {
		core := r.CPU.core(cpu)
		switch {
		case core == nil:
			r.find("cpu-not-allowed", fmt.Sprintf("CPU %d is not online.", cpu), "nproc --all; lscpu -e")
			continue
		case len(r.Process.Allowed) > 0 && !slices.Contains(r.Process.Allowed, cpu):
			r.find("cpu-not-allowed", fmt.Sprintf("CPU %d is not among those of this process: %s.", cpu, numbers(r.Process.Allowed)), "taskset -pc $$; the cpuset of the container")
		}
		if n := r.NIC; n != nil && n.Node >= 0 && len(r.Memory.Nodes) > 1 && core.Node != n.Node {
			r.find("cpu-numa", fmt.Sprintf("CPU %d is on node %d, and %s on node %d.", cpu, core.Node, n.Name, n.Node),
				"Take of "+numbers(r.candidates())+".")
		}
		for _, other := range r.Asked.CPUs[:i] {
			if other != cpu && slices.Contains(core.Siblings, other) {
				r.find("cpu-siblings", fmt.Sprintf("CPUs %d and %d are threads of one core.", other, cpu), "Take of "+numbers(r.candidates())+"; lscpu -e shows cores.")
			}
		}
	}
	r.checkGovernor()
}

// checkGovernor looks at the CPUs that loops are to have.
func (r *report) checkGovernor() {
	f := Finding{Code: "cpu-governor"}
	slow := map[string][]int{}
	for _, cpu := range r.chosen() {
		core := r.CPU.core(cpu)
		if core == nil || core.Governor == "" || core.Governor == "performance" {
			continue
		}
		slow[core.Governor] = append(slow[core.Governor], cpu)
		if slices.Contains(core.Governors, "performance") {
			f.Changes = append(f.Changes, Change{
				Path: fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu), From: core.Governor, To: "performance",
			})
		}
	}
	for _, governor := range slices.Sorted(keys(slow)) {
		f.What = fmt.Sprintf("The governor %s has CPUs %s.", governor, numbers(slow[governor]))
		f.Do = []string{"sudo cpupower -c " + numbers(slow[governor]) + " frequency-set -g performance"}
		r.add(f)
		f.Changes = nil
	}
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func checkIsolation(r *report) {
	cpus := r.chosen()
	if !r.CPU.Virtual {
		const deep = 20 // µs to wake
		var states []string
		for _, s := range r.CPU.Idle {
			if s.Latency > deep && !s.Disabled {
				states = append(states, fmt.Sprintf("%s %d µs", s.Name, s.Latency))
			}
		}
		if len(states) > 0 {
			r.find("cpu-idle", "CPUs sleep in states that take long to leave: "+strings.Join(states, ", ")+". This matters to loops that sleep.",
				fmt.Sprintf("sudo cpupower idle-set -D %d     # until the next boot; costs power", deep), "Or boot with intel_idle.max_cstate=1 processor.max_cstate=1.")
		}
	}
	var open []int
	for _, cpu := range cpus {
		if !slices.Contains(r.CPU.Isolated, cpu) || !slices.Contains(r.CPU.NoHZFull, cpu) {
			open = append(open, cpu)
		}
	}
	if len(open) > 0 && len(r.CPU.Online) > 2 {
		list := numbers(open)
		r.find("cpu-isolation", "CPUs "+list+" are not set aside for loops.",
			"Boot with isolcpus="+list+" nohz_full="+list+" rcu_nocbs="+list+", for the last microseconds of the tail.")
	}
}

func checkInterrupts(r *report) {
	n := r.NIC
	if n == nil {
		return
	}
	if r.Asked.Backend != "dpdk" && len(r.Asked.CPUs) > 0 {
		var here []string
		do := []string{}
		rest := r.leftOver(n)
		for _, irq := range n.IRQs {
			if slices.ContainsFunc(irq.CPUs, func(cpu int) bool { return slices.Contains(r.Asked.CPUs, cpu) }) {
				here = append(here, fmt.Sprintf("%d (%s)", irq.Number, irq.Name))
				if len(rest) > 0 {
					do = append(do, fmt.Sprintf("echo %d | sudo tee /proc/irq/%d/smp_affinity_list", rest[len(do)%len(rest)], irq.Number))
				}
			}
		}
		if len(here) > 0 {
			r.find("cpu-irq", fmt.Sprintf("Interrupts of %s go to the loops' CPUs: %s.", n.Name, strings.Join(here, ", ")), do...)
		}
	}
	if r.Host.IRQBalance && len(n.IRQs) > 0 {
		r.find("cpu-irqbalance", "irqbalance runs.", "sudo systemctl stop irqbalance", "Or keep it from the loops' CPUs: IRQBALANCE_BANNED_CPULIST="+numbers(r.chosen())+" in /etc/default/irqbalance.")
	}
}

// leftOver are the CPUs on the card's node whose cores the loops leave alone.
func (r *report) leftOver(n *NIC) []int {
	var rest []int
	for _, core := range r.CPU.Cores {
		near := n.Node < 0 || len(r.Memory.Nodes) < 2 || core.Node == n.Node
		used := func(cpu int) bool { return slices.Contains(r.Asked.CPUs, cpu) }
		if near && !used(core.CPU) && !slices.ContainsFunc(core.Siblings, used) {
			rest = append(rest, core.CPU)
		}
	}
	return rest
}

// numbers writes "2,4,6".
func numbers(list []int) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ",")
}
