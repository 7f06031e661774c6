package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mutant is one change of one operator.
type mutant struct {
	kind, file   string
	line, column int
	place        string // as equivalent.txt has it
	number       int    // by which it is chosen
	reached      int    // as which a test notes that it comes by
	verdict      verdict
}

// verdict is what is known of a mutant.
type verdict string

const (
	untried    verdict = ""
	killed     verdict = "killed"
	lived      verdict = "lived"
	unviable   verdict = "of constants, or does not compile"
	equivalent verdict = "equivalent"
	uncovered  verdict = "no test comes by"
)

// found is a line of what gremlins says without trying. It is given no test to run: which come by is found out here.
var found = regexp.MustCompile(`(?m)^\s*(?:RUNNABLE|NOT COVERED) (\w+) at (\S+):(\d+):(\d+)$`)

// find returns the mutants of a package.
func find(root, tool, name string) ([]*mutant, error) {
	args := []string{"unleash", "--dry-run", "--invert-logical", "./" + name}
	if name == "." || name == "core" {
		args = append(args, "--exclude-files", "/") // packages in folders below
	}
	cmd := exec.Command(tool, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = root, append(os.Environ(), "GOFLAGS=-vet=off -run=^$"), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	return parse(root, name, string(out))
}

func parse(root, name, out string) (all []*mutant, err error) {
	files := map[string][]string{}
	for _, f := range found.FindAllStringSubmatch(out, -1) {
		m := &mutant{kind: f[1], file: path.Join(name, f[2])}
		m.line, _ = strconv.Atoi(f[3])
		m.column, _ = strconv.Atoi(f[4])
		if files[m.file] == nil {
			text, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				return nil, err
			}
			files[m.file] = strings.Split(string(text), "\n")
		}
		m.place = place(m, files[m.file][m.line-1])
		all = append(all, m)
	}
	return all, nil
}

// place names a mutant in a way that outlives changes elsewhere: its file, what is changed, the column in its line counted
// from the first character that is no space, and the line.
func place(m *mutant, line string) string {
	trimmed := strings.TrimLeft(line, "\t ")
	return fmt.Sprintf("%s: %s at %d: %s", m.file, m.kind, m.column-(len(line)-len(trimmed)), strings.TrimRight(trimmed, " \r"))
}

// draw sets aside what is known to be equivalent, and returns the rest in an order that the seed draws.
func draw(all []*mutant, known map[string]bool, seed uint64) (drawn []*mutant) {
	for _, m := range all {
		switch {
		case known[m.place]:
			m.verdict = equivalent
		case m.verdict == untried:
			drawn = append(drawn, m)
		}
	}
	slices.SortFunc(drawn, func(a, b *mutant) int {
		return strings.Compare(fmt.Sprintf("%s:%6d:%4d:%s", a.file, a.line, a.column, a.kind), fmt.Sprintf("%s:%6d:%4d:%s", b.file, b.line, b.column, b.kind))
	})
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	for i, m := range drawn {
		m.number = i + 1
	}
	return drawn
}
