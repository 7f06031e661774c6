package dpdk

import (
	"fmt"
	"slices"
	"strings"
)

// checkParameters says which of a device's arguments its driver does not take in a
// release, and what was probably meant. EAL itself gives up the device with little
// said, and some drivers take what they do not know for something else.
func checkParameters(driver string, d device, r release) error {
	known, ok := parameters[driver]
	if !ok {
		return nil
	}
	for arg := range strings.SplitSeq(d.args, ",") {
		key, _, _ := strings.Cut(arg, "=")
		i := slices.IndexFunc(known, func(p parameter) bool { return p.name == key })
		switch {
		case d.args == "" || i >= 0 && known[i].has(r):
			continue
		case i >= 0:
			return wrong("device", "%s of DPDK %v has no argument %s (%s): %s", driver, r, key, known[i].when(), known[i].otherwise())
		}
		return wrong("device", "%s of DPDK %v has no argument %s: %s", driver, r, key, likeliest(key, known, r))
	}
	return nil
}

// when says which releases have p.
func (p parameter) when() string {
	var parts []string
	if p.since != (release{}) {
		parts = append(parts, "new in "+p.since.short())
	}
	if p.until != (release{}) {
		parts = append(parts, "gone in "+p.until.short())
	}
	return strings.Join(parts, ", ")
}

func (r release) short() string { return fmt.Sprintf("%d.%02d", r.yearMonth/100, r.yearMonth%100) }

func (p parameter) otherwise() string {
	if p.instead == "" {
		return "leave it out"
	}
	return "write " + p.instead
}

// likeliest is advice on a key that no release knows: the one that r knows under the
// most similar name.
func likeliest(key string, known []parameter, r release) string {
	best, least := "", max(3, len(key)/3)
	var names []string
	for _, p := range known {
		if !p.has(r) {
			continue
		}
		names = append(names, p.name)
		if n := distance(key, p.name); n <= least {
			best, least = p.name, n-1
		}
	}
	if best != "" {
		return "write " + best
	}
	return fmt.Sprintf("it takes %v", names)
}

// distance is how many letters to insert, drop or change to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// driverOf is the driver, by its name in parameters, that takes a virtual device; empty
// if none there does. As EAL does, it goes by the front of the name.
func driverOf(name string) string {
	longest := ""
	for driver := range parameters {
		if strings.HasPrefix(name, driver) && len(driver) > len(longest) {
			longest = driver
		}
	}
	return longest
}
