package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/conform"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

type conformCommand struct {
	serve bool
	results
}

func newConform() *cobra.Command {
	var c conformCommand
	cmd := &cobra.Command{
		Use:   "conform ADDR",
		Short: "Check another implementation against docs/wire.md",
		Long: `Conform has the conversations of docs/wire.md, section 13, with a server of any
implementation, says what it does otherwise than the document, and fails if there
is anything. The server has to answer method 1 with what it was sent and to grant
three sessions.

With --serve it checks a client: that connects to ADDR, calls method 1 again and
again, one call after the other, with requests of less and of more than 1000
bytes by turns, goes on after calls that fail, and connects anew whenever its
connection ends.

The path between the two should lose nothing: what is lost, the conversations say.`,
		Example: `  peregrine conform ` + defaultAddr + `
  peregrine conform --serve 127.0.0.1:31851
  peregrine conform ` + defaultAddr + ` --json -`,
		Args: arguments(1, 1, "one address, such as "+defaultAddr),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return misuse(cmd, fmt.Errorf("%q is no address: give an IP address and a port, such as %s", args[0], defaultAddr))
			}
			return c.during(cmd, func() error { return c.run(addr) })
		},
	}
	cmd.Flags().BoolVar(&c.serve, "serve", false, "check a client that connects to ADDR, instead of a server there")
	c.results.register(cmd.Flags(), "the result of each conversation")
	return cmd
}

func (c *conformCommand) run(addr netip.AddrPort) error {
	var all []conform.Result
	faults := 0
	told := func(r conform.Result) {
		all = append(all, r)
		if r.Fault != "" {
			faults++
			text := fmt.Sprintf("%s (§%s: %s) %s", r.Name, r.Section, r.Rule, r.Fault)
			fmt.Fprintln(c.out, measure.Fold(text, measure.Width(c.out), 2))
		}
	}
	err := c.converse(addr, told)
	fmt.Fprintf(c.out, "%d of %s as the document says\n", len(all)-faults, measure.Plural(len(all), "conversation"))
	if err == nil && faults > 0 {
		err = fmt.Errorf("%s went otherwise", measure.Plural(faults, "conversation"))
	}
	return errors.Join(err, c.json.Write(all))
}

func (c *conformCommand) converse(addr netip.AddrPort, told func(conform.Result)) error {
	if !c.serve {
		return conform.Server(conform.Dial(addr), told)
	}
	line, bound, err := conform.Listen(addr)
	if err != nil {
		return err
	}
	defer line.Close()
	fmt.Fprintf(c.out, "%s%s for a client to be checked\n", listening, bound)
	return conform.Client(line, told)
}
