package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/unseal"
)

// keyLogVariable names the file that the secrets of TLS are written to.
const keyLogVariable = "SSLKEYLOGFILE"

func newUnseal() *cobra.Command {
	var keys, path string
	cmd := &cobra.Command{
		Use:   "unseal CAPTURE -w FILE",
		Short: "Open what TLS has sealed in a capture, with the secrets of a key log",
		Long: `Unseal copies a capture (pcapng), and opens the sealed datagrams in it with the
secrets that ` + keyLogVariable + `, or key_log, had written down: Wireshark and tshark then
read them as plain ones. Times, comments and all else stay. What does not open
stays sealed, and is counted: what was cut short, of connections whose secrets are
not in the log, or of those that were recorded from their second update of keys
on. Connections with a pre-shared key leave no secrets.`,
		Example: `  ` + keyLogVariable + `=keys.log peregrine capture -w f.pcapng --tls-cert server.pem --tls-key server.key
  peregrine unseal f.pcapng --keys keys.log -w plain.pcapng
  tshark -r plain.pcapng -Y peregrine.method==1`,
		Args: arguments(1, 1, "a capture, such as f.pcapng"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keys == "" {
				keys = os.Getenv(keyLogVariable)
			}
			var err error
			if keys == "" {
				err = errors.New("say by --keys, or " + keyLogVariable + ", which file has the secrets")
			}
			if path == "" {
				err = errors.Join(err, errors.New("say by -w which file to write"))
			}
			if err != nil {
				return misuse(cmd, err)
			}
			count, err := unsealed(path, args[0], keys)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), count)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&keys, "keys", "", "`file` with the secrets (default: what "+keyLogVariable+" names)")
	flags.StringVarP(&path, "write", "w", "", "`file` to write, for its owner's eyes only")
	return cmd
}

// unsealed writes a new file with what is in a capture, opened; if nothing opens, none.
func unsealed(path, capture, keys string) (count unseal.Counts, err error) {
	secrets, err := os.Open(keys)
	if err != nil {
		return count, err
	}
	defer secrets.Close()
	log, err := unseal.ReadLog(secrets)
	if err != nil {
		return count, fmt.Errorf("%s: %w", keys, err)
	}
	from, err := os.Open(capture)
	if err != nil {
		return count, err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return count, err
	}
	out := bufio.NewWriterSize(to, 1<<16)
	count, err = unseal.Recording(out, from, log)
	switch {
	case err != nil:
		err = fmt.Errorf("%s: %w", capture, err)
	case count.Sealed == 0:
		err = fmt.Errorf("%s: nothing in it is sealed", capture)
	case count.Opened == 0:
		err = fmt.Errorf("%s: %v; are the secrets in %s those of its connections?", capture, count, keys)
	}
	if err = errors.Join(err, out.Flush(), to.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return count, err
}
