package main

import (
	"fmt"
	"os"
	"strings"
)

// result counts the mutants of a package.
type result map[verdict]int

func count(mutants []*mutant) result {
	r := result{}
	for _, m := range mutants {
		r[m.verdict]++
	}
	return r
}

// rate is how many of those that a test could notice are killed.
func (r result) rate() float64 {
	if r[killed]+r[lived] == 0 {
		return 1
	}
	return float64(r[killed]) / float64(r[killed]+r[lived])
}

func (r result) String() string {
	return fmt.Sprintf("%d killed of %d, %.1f %%; %d equivalent; %d of constants, or do not compile; %d in no test's way; %d not tried",
		r[killed], r[killed]+r[lived], 100*r.rate(), r[equivalent], r[unviable], r[uncovered], r[untried])
}

// equivalents reads a list of places: those that change nothing, below comments that say why.
func equivalents(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	reason := false
	for i, line := range strings.Split(string(text), "\n") {
		switch line = strings.TrimSpace(line); {
		case line == "":
			reason = false
		case strings.HasPrefix(line, "#"):
			reason = true
		case !reason:
			return nil, fmt.Errorf("%s:%d: no comment above says why it is equivalent", path, i+1)
		default:
			known[line] = true
		}
	}
	return known, nil
}
