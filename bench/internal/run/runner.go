package run

import (
	"context"
	"path/filepath"
	"slices"
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
	Prefix  []string // a program and arguments that run Program in turn
	Program string
	Verb    string   // its first argument
	Common  []string // what every command of the kind is given
	Flags   []string // what distinguishes this one
}

// argv is the program to start and its arguments.
func (c Command) argv(more ...string) (program string, args []string) {
	argv := slices.Concat(c.Prefix, []string{c.Program, c.Verb}, c.Common, c.Flags, more)
	return argv[0], argv[1:]
}

func (c Command) String() string {
	return strings.Join(append([]string{filepath.Base(c.Program), c.Verb}, c.Flags...), " ")
}
