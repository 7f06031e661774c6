package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// results is where a command writes what it finds.
type results struct {
	out  io.Writer // for people
	json *measure.JSONFile
	path string // of json
}

func (r *results) register(flags *pflag.FlagSet, what string) {
	flags.StringVar(&r.path, "json", "", "write "+what+" to this `file` (-: standard output, and the rest to standard error)")
}

// during opens the results, runs a command, and closes them.
func (r *results) during(cmd *cobra.Command, run func() error) error {
	r.out = cmd.OutOrStdout()
	if r.path == "-" {
		r.out = cmd.ErrOrStderr()
	}
	var err error
	if r.json, err = measure.OpenJSON(r.path, cmd.OutOrStdout()); err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	err = run()
	return errors.Join(err, r.json.Close())
}
