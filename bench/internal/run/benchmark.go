package run

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Benchmark is a Go benchmark of a compiled test. Its values are by the
// benchmark's units, such as "ns/op".
type Benchmark struct {
	Test string // the program
	Name string // in full, with a slash before each part: "BenchmarkX/part"
	Time time.Duration
}

func (b Benchmark) args() []string {
	parts := strings.Split(b.Name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	// A pattern matches what is below its benchmark, too.
	pattern := strings.Join(parts, "/")
	return []string{"-test.run=^$", "-test.bench=" + pattern, "-test.skip=" + pattern + "/.", "-test.benchtime=" + b.Time.String(), "-test.benchmem"}
}

// Commands implements Runner.
func (b Benchmark) Commands() []string {
	return []string{fmt.Sprintf("%s -test.bench %s -test.benchtime %v", filepath.Base(b.Test), b.Name, b.Time)}
}

// Run implements Runner.
func (b Benchmark) Run(ctx context.Context) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, b.Test, b.args()...)
	var out bytes.Buffer
	var complaints tail
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, complaints.explain("benchmark", err)
	}
	return parseBenchmark(out.String(), b.Name)
}

// A benchmark's name ends with the number of CPUs, if that is not one.
var cpuSuffix = regexp.MustCompile(`-\d+$`)

// parseBenchmark reads the figures of one benchmark from the output of all.
func parseBenchmark(output, name string) (map[string]float64, error) {
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || cpuSuffix.ReplaceAllString(fields[0], "") != name {
			continue
		}
		values := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("benchmark %s: %w", name, err)
			}
			values[fields[i+1]] = v
		}
		return values, nil
	}
	return nil, fmt.Errorf("there is no benchmark %s: adapt the list in bench", name)
}
