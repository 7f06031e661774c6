package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/conform"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/secureflag"
)

type conformCommand struct {
	serve    bool
	patience time.Duration
	secure   secureflag.Flags
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
three sessions, and if it takes streams to send the messages of one of method 1
back.

With --serve it checks a client: that connects to ADDR, calls method 1 again and
again, one call after the other, with requests of less and of more than 1000
bytes by turns, goes on after calls that fail, and connects anew whenever its
connection ends.

The path between the two should lose nothing: what is lost, the conversations say.

With --psk, or the flags of TLS, connections are sealed, and the conversations that
are about plain ones are left out.`,
		Example: `  peregrine conform ` + defaultAddr + `
  peregrine conform --serve 127.0.0.1:31851
  peregrine conform ` + defaultAddr + ` --json -
  peregrine conform ` + defaultAddr + ` --psk key`,
		Args: arguments(1, 1, "one address, such as "+defaultAddr),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return misuse(cmd, fmt.Errorf("%q is no address: give an IP address and a port, such as %s", args[0], defaultAddr))
			}
			if err := within("patience", c.patience, leastPatience, mostPatience); err != nil {
				return misuse(cmd, err)
			}
			if c.serve {
				if err := c.secure.CheckServer(); err != nil {
					return misuse(cmd, err)
				}
			}
			return c.during(cmd, func() error { return c.run(addr) })
		},
	}
	cmd.Flags().BoolVar(&c.serve, "serve", false, "check a client that connects to ADDR, instead of a server there")
	cmd.Flags().DurationVar(&c.patience, "patience", conform.Patience, "how long a reaction may take")
	c.results.register(cmd.Flags(), "the result of each conversation")
	c.secure.Register(cmd.Flags())
	cmd.Flags().BoolVar(&c.secure.TLS.Mutual, "tls-mutual", false, "with --serve: clients must show a certificate, too, of an authority in --tls-ca")
	return cmd
}

func (c *conformCommand) run(addr netip.AddrPort) error {
	var all []conform.Result
	faults, skipped, once := 0, 0, 0
	var why []string
	told := func(r conform.Result) {
		all = append(all, r)
		if r.Skipped != "" {
			skipped++
			if !slices.Contains(why, r.Skipped) {
				why = append(why, r.Skipped)
			}
		}
		if r.Once != "" {
			once++
		}
		if r.Fault != "" {
			faults++
			text := fmt.Sprintf("%s (§%s: %s) %s", r.Name, r.Section, r.Rule, r.Fault)
			fmt.Fprintln(c.out, measure.Fold(text, measure.Width(c.out), 2))
		}
	}
	err := c.converse(addr, told)
	left := ""
	if skipped > 0 {
		left = fmt.Sprintf(", and %d left out: %s", skipped, strings.Join(why, "; "))
	}
	if once > 0 {
		left += fmt.Sprintf("; %d went otherwise once, and not when had again", once)
	}
	fmt.Fprintf(c.out, "%d of %s as the document says%s\n", len(all)-faults-skipped, measure.Plural(len(all)-skipped, "conversation"), left)
	if err == nil && faults > 0 {
		err = fmt.Errorf("%s went otherwise", measure.Plural(faults, "conversation"))
	}
	return errors.Join(err, c.json.Write(all))
}

func (c *conformCommand) converse(addr netip.AddrPort, told func(conform.Result)) error {
	sealing, err := c.sealing(addr)
	if err != nil {
		return err
	}
	if !c.serve {
		return conform.Server(conform.Dial(addr), sealing, c.patience, told)
	}
	line, bound, err := conform.Listen(addr)
	if err != nil {
		return err
	}
	defer line.Close()
	fmt.Fprintf(c.out, "%s%s for a client to be checked\n", listening, bound)
	return conform.Client(line, sealing, c.patience, told)
}

// sealing is how the flags have connections sealed.
func (c *conformCommand) sealing(server netip.AddrPort) (*conform.Sealing, error) {
	switch files := &c.secure.TLS; {
	case c.secure.PSK != "" && *files != (peregrine.TLSFiles{}):
		return nil, errors.New("connections are sealed in one way: give --psk or the flags of TLS")
	case c.secure.PSK != "":
		keys, err := peregrine.LoadPSK(c.secure.PSK)
		if err != nil {
			return nil, err
		}
		var raw [][psk.KeySize]byte
		for _, key := range keys {
			raw = append(raw, key)
		}
		security, err := psk.New(raw, nil)
		return &conform.Sealing{Security: security, Server: server}, err
	case *files != (peregrine.TLSFiles{}):
		config, err := files.Config()
		if err != nil {
			return nil, err
		}
		security, err := handshake.New(handshake.Config{TLS: config})
		return &conform.Sealing{Security: security, Server: server}, err
	}
	return nil, nil
}
