package doctor

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// The formats of /proc and /sys. None of these fails: a line that is not as the
// kernel writes it is passed over.

// mostListed is above any kernel's CPUs (NR_CPUS). A list may be a few characters and
// name billions.
const mostListed = 1 << 13

// parseList reads "0-3,8,10-11".
func parseList(text string) []int {
	var list []int
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		low, err := strconv.Atoi(first)
		high, err2 := low, error(nil)
		if isRange {
			high, err2 = strconv.Atoi(last)
		}
		if err != nil || err2 != nil || low < 0 {
			continue
		}
		for n := low; n <= min(high, mostListed-1) && len(list) < mostListed; n++ {
			list = append(list, n)
		}
	}
	return list
}

// parseVersion reads "Linux version 6.18.44-cloud (…) …", or the number alone.
func parseVersion(text string) Version {
	text = strings.TrimPrefix(text, "Linux version ")
	text, _, _ = strings.Cut(text, " ")
	v := Version{Text: text}
	major, rest, _ := strings.Cut(text, ".")
	minor := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		minor = rest[:end]
	}
	v.Major, _ = strconv.Atoi(major)
	v.Minor, _ = strconv.Atoi(minor)
	if v.Major < 0 || v.Minor < 0 {
		v.Major, v.Minor = 0, 0
	}
	return v
}

// parseKeyed reads lines of "key: value"; of a key that comes again, the first.
func parseKeyed(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		key = strings.TrimSpace(key)
		if _, again := values[key]; ok && !again {
			values[key] = strings.TrimSpace(value)
		}
	}
	return values
}

// leading is the number that text begins with.
func leading(text string) int {
	text, _, _ = strings.Cut(strings.TrimSpace(text), " ")
	n, _ := strconv.Atoi(text)
	return n
}

// parseInterrupts reads the numbered lines of /proc/interrupts.
func parseInterrupts(text string) []IRQ {
	var irqs []IRQ
	for line := range strings.Lines(text) {
		number, rest, ok := strings.Cut(line, ":")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		fields := strings.Fields(rest)
		if !ok || err != nil || len(fields) == 0 {
			continue
		}
		irqs = append(irqs, IRQ{Number: n, Name: fields[len(fields)-1]})
	}
	return irqs
}

// parseDefaultRoute finds the interface in /proc/net/route that leads everywhere,
// with the lowest metric.
func parseDefaultRoute(text string) string {
	name, best := "", math.MaxInt
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		if metric, err := strconv.Atoi(f[6]); err == nil && metric < best {
			name, best = f[0], metric
		}
	}
	return name
}

// parseDefaultRoute6 does so in /proc/net/ipv6_route, past the routes that lead nowhere.
func parseDefaultRoute6(text string) string {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 10 && strings.Trim(f[0], "0") == "" && f[1] == "00" && f[9] != "lo" {
			return f[9]
		}
	}
	return ""
}

// parseLimit reads the soft limit of a line of /proc/self/limits; -1 is none, and
// so is what is not there.
func parseLimit(text, name string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
					return n
				}
			}
		}
	}
	return -1
}

// parseCgroup reads /proc/self/cgroup: the path in the unified tree, and those of
// the older ones by their controllers.
func parseCgroup(text string) (unified string, older map[string]string) {
	older = map[string]string{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if f[1] == "" {
			unified = f[2]
			continue
		}
		for controller := range strings.SplitSeq(f[1], ",") {
			older[controller] = f[2]
		}
	}
	return unified, older
}

// parseQuota reads cpu.max, "200000 100000": so many CPUs; 0 is all.
func parseQuota(text string) float64 {
	f := strings.Fields(text)
	if len(f) != 2 {
		return 0
	}
	return ratio(f[0], f[1])
}

// ratio is 0 where either is no positive number.
func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err != nil || err2 != nil || !(q > 0 && p > 0) || math.IsInf(q/p, 0) {
		return 0
	}
	return q / p
}

// parseStolen reads the first line of /proc/stat: the share of time that the
// hypervisor took.
func parseStolen(text string) float64 {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0
	}
	var sum, stolen float64
	for i, field := range f[1:9] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0
		}
		sum += float64(n)
		if i == 7 {
			stolen = float64(n)
		}
	}
	if sum == 0 {
		return 0
	}
	return stolen / sum
}

// parseMount finds where a file system of that kind is, in /proc/mounts.
func parseMount(text, kind string) string {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == kind {
			return f[1]
		}
	}
	return ""
}

// capabilityNames are those that matter here, by their bits.
var capabilityNames = map[int]string{
	12: "NET_ADMIN", 13: "NET_RAW", 14: "IPC_LOCK", 17: "SYS_RAWIO", 21: "SYS_ADMIN", 23: "SYS_NICE", 38: "PERFMON", 39: "BPF",
}

// parseCapabilities reads CapEff.
func parseCapabilities(text string) map[string]bool {
	set, _ := strconv.ParseUint(text, 16, 64)
	has := map[string]bool{}
	for bit, name := range capabilityNames {
		has[name] = set>>bit&1 != 0
	}
	return has
}

// parseMask reads a hexadecimal mask of cache ways.
func parseMask(text string) (mask uint64, ways int) {
	mask, _ = strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	return mask, bits.OnesCount64(mask)
}

// parseSNMP reads one protocol's counters of /proc/net/snmp: a line of names, and
// one of values.
func parseSNMP(text, protocol string) map[string]uint64 {
	var names []string
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, protocol+":")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if names == nil {
			names = f
			continue
		}
		values := map[string]uint64{}
		for i, name := range names[:min(len(names), len(f))] {
			if n, err := strconv.ParseUint(f[i], 10, 64); err == nil {
				values[name] = n
			}
		}
		return values
	}
	return nil
}

// parseChosen reads "always [madvise] never" and the like.
func parseChosen(text string) string {
	_, rest, ok := strings.Cut(text, "[")
	chosen, _, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return ""
	}
	return chosen
}

// parseLeadingFloat reads "16.0 GT/s PCIe", "0.52 0.58 0.59 1/467 1234" and the like.
func parseLeadingFloat(text string) float64 {
	number, _, _ := strings.Cut(text, " ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0
	}
	return n
}
