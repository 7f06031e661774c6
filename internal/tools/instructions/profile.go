package main

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// profile is how many instructions a run took, and each of its functions by itself.
type profile struct {
	total     float64
	functions map[string]float64
}

var (
	// cost is a line of callgrind_annotate: a number, its share, and what took it.
	cost = regexp.MustCompile(`^ *([0-9,]+) \( *[0-9.]+%\)  (.*)$`)
	// recursion is how callgrind tells the calls of a function by itself.
	recursion = regexp.MustCompile(`'[0-9]+$`)
)

var errNothing = errors.New("callgrind_annotate printed no total")

// parse reads what callgrind_annotate prints.
func parse(text string) (profile, error) {
	p := profile{functions: map[string]float64{}}
	for line := range strings.Lines(text) {
		m := cost.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		n, err := strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64)
		if err != nil {
			return p, err
		}
		if m[2] == "PROGRAM TOTALS" {
			p.total = n
			continue
		}
		name, _, _ := strings.Cut(m[2], " [")
		if _, function, ok := strings.Cut(name, ":"); ok {
			name = function
		}
		name = recursion.ReplaceAllString(name, "")
		p.functions[strings.ReplaceAll(name, "github.com/peregrine-rpc/peregrine", "")] += n
	}
	if p.total == 0 {
		return p, errNothing
	}
	return p, nil
}

var errNoBenchmark = errors.New("it ran no such benchmark")

// slope is what one of the RPCs took that a longer run had more.
func slope(short, long profile, more int) (profile, error) {
	p := profile{total: (long.total - short.total) / float64(more), functions: map[string]float64{}}
	if p.total < 10 { // the rest of a run is not the same to the instruction
		return p, errNoBenchmark
	}
	for f, n := range long.functions {
		p.functions[f] = (n - short.functions[f]) / float64(more)
	}
	return p, nil
}

// most are the n functions that take the most.
func (p *profile) most(n int) []string {
	var names []string
	for f := range p.functions {
		names = append(names, f)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := p.functions[b] - p.functions[a]; d != 0 {
			return map[bool]int{true: 1, false: -1}[d > 0]
		}
		return strings.Compare(a, b)
	})
	return names[:min(n, len(names))]
}
