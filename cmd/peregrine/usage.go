package main

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/peregrine-rpc/peregrine/internal/nearest"
)

// usageError is about a command line that cannot be meant. It points to help.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v\nSee '%s --help'.", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

// misuse makes err, if there is one, a usageError of cmd.
func misuse(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return &usageError{cmd.CommandPath(), err}
}

// noCommand is root's Args, which gets what is no command.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return misuse(cmd, fmt.Errorf("there is no command %q%s; there are %s",
		args[0], nearest.DidYouMean(args[0], append(names, "--version", "--help")), strings.Join(names, ", ")))
}

// arguments checks how many there are, of what.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		_, name, _ := strings.Cut(cmd.Use, " ")
		name, _, _ = strings.Cut(name, "|")
		switch {
		case len(args) < least:
			return misuse(cmd, fmt.Errorf("%s is missing: give %s", name, what))
		case len(args) > most && most == 0:
			return misuse(cmd, fmt.Errorf("%q is too much: %s takes flags only", args[0], cmd.Name()))
		case len(args) > most:
			return misuse(cmd, fmt.Errorf("%q is too much: give only %s", args[most], what))
		}
		return nil
	}
}

// flagError says what is wrong with a flag, without the parser's types.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var lacking *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if letters := unknown.GetSpecifiedShortnames(); letters != "" {
			guess := ""
			cmd.Flags().VisitAll(func(f *pflag.Flag) {
				// The first letter may have been taken for a flag of its own.
				if len(letters) > 1 && strings.HasSuffix(f.Name, letters) && len(f.Name)-len(letters) <= 1 {
					guess = fmt.Sprintf(" (did you mean \"--%s\"?)", f.Name)
				}
			})
			return misuse(cmd, fmt.Errorf("there is no flag -%s%s", name, guess))
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, "--"+f.Name)
			}
		})
		return misuse(cmd, fmt.Errorf("there is no flag --%s%s", name, nearest.DidYouMean("--"+name, names)))
	case errors.As(err, &lacking):
		f := lacking.GetFlag()
		return misuse(cmd, fmt.Errorf("--%s has no value: write %s behind it", f.Name, cmp.Or(valueForms[f.Value.Type()], "one")))
	case errors.As(err, &invalid):
		return misuse(cmd, fmt.Errorf("--%s: %w", invalid.GetFlag().Name, valueError(invalid)))
	}
	return misuse(cmd, err)
}

// valueForms says by a flag's type how its values are written.
var valueForms = map[string]string{
	"int":      "a whole number",
	"uint64":   "a whole number from 0",
	"float64":  "a number such as 25 or 0.5",
	"bool":     "true or false",
	"duration": "a number with its unit, such as 500ms, 5s or 1m30s",
}

func valueError(invalid *pflag.InvalidValueError) error {
	form, plain := valueForms[invalid.GetFlag().Value.Type()]
	switch {
	case !plain:
		return invalid.Unwrap()
	case errors.Is(invalid, strconv.ErrRange):
		return fmt.Errorf("%s is too large", invalid.GetValue())
	}
	return fmt.Errorf("%q is malformed: write %s", invalid.GetValue(), form)
}

// within says which values a flag may have, if not this one.
func within[T cmp.Ordered](flag string, value, least, most T) error {
	if value >= least && value <= most {
		return nil
	}
	return fmt.Errorf("--%s is from %v to %v, not %v", flag, least, most, value)
}
