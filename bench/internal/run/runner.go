package run

import (
	"context"
	"path/filepath"
	"strings"
)

// Runner measures once. The values are by the names of `peregrine perf --json`.
type Runner interface {
	Run(ctx context.Context) (map[string]float64, error)
	// Commands are those that were run, for readers: without what is the same
	// in all of a comparison.
	Commands() []string
}

// Command is a program and its arguments.
type Command struct {
	Program string
	Verb    string   // its first argument
	Common  []string // what every command of the kind is given
	Flags   []string // what distinguishes this one
}

func (c Command) args(more ...string) []string {
	var args []string
	for _, list := range [][]string{{c.Verb}, c.Common, c.Flags, more} {
		args = append(args, list...)
	}
	return args
}

func (c Command) String() string {
	return strings.Join(append([]string{filepath.Base(c.Program), c.Verb}, c.Flags...), " ")
}
