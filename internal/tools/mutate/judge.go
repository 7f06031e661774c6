package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// result counts the mutants of a package.
type result struct{ killed, lived, equivalent, uncovered, untold int }

// rate is how many of those that a test could notice are killed.
func (r result) rate() float64 {
	if r.killed+r.lived == 0 {
		return 1
	}
	return float64(r.killed) / float64(r.killed+r.lived)
}

func (r result) String() string {
	return fmt.Sprintf("%d killed of %d, %.1f %%; %d equivalent; %d in no test's way; %d timed out or not run",
		r.killed, r.killed+r.lived, 100*r.rate(), r.equivalent, r.uncovered, r.untold)
}

// judge counts, and prints what lives and is not known to be equivalent.
func judge(root string, mutants []mutant, known map[string]bool) (r result, err error) {
	files := map[string][]string{}
	for _, m := range mutants {
		if files[m.file] == nil {
			text, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				return r, err
			}
			files[m.file] = strings.Split(string(text), "\n")
		}
		at := place(m, files[m.file][m.line-1])
		switch {
		case known[at]:
			r.equivalent++
		case m.status == "KILLED":
			r.killed++
		case m.status == "LIVED":
			r.lived++
			fmt.Println(at)
		case m.status == "NOT COVERED": // constants, too, which coverage does not know
			r.uncovered++
			fmt.Println(at, "(no test comes by)")
		default:
			r.untold++
		}
	}
	return r, nil
}

// place names a mutant in a way that outlives changes elsewhere: its file, what is changed, the column in its line counted
// from the first character that is no space, and the line.
func place(m mutant, line string) string {
	trimmed := strings.TrimLeft(line, "\t ")
	return fmt.Sprintf("%s: %s at %d: %s", m.file, m.kind, m.column-(len(line)-len(trimmed)), strings.TrimRight(trimmed, " \r"))
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
