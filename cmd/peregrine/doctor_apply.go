package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/doctor"
)

// change makes changes, each shown first, and asked for unless --yes says that they
// are wanted.
func (d *doctorCommand) change(changes []doctor.Change) error {
	fmt.Fprintln(d.out)
	if len(changes) == 0 {
		fmt.Fprintln(d.out, "There is nothing to change that is safe to.")
		return nil
	}
	answers := bufio.NewScanner(d.in)
	var failed error
	for _, c := range changes {
		fmt.Fprint(d.out, c)
		if !d.yes {
			fmt.Fprint(d.out, "   change it? [y/N] ")
			if !answers.Scan() || !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answers.Text())), "y") {
				fmt.Fprintln(d.out, "left")
				continue
			}
		}
		if err := c.Apply("/"); err != nil {
			fmt.Fprintln(d.out, "   failed")
			failed = errors.Join(failed, fmt.Errorf("--apply: %w", err))
			continue
		}
		fmt.Fprintln(d.out, "   changed, until the next boot")
	}
	return failed
}
