package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/dissector"
)

func newDissector() *cobra.Command {
	var install bool
	var folder string
	cmd := &cobra.Command{
		Use:   "dissector",
		Short: "Have Wireshark and tshark read the protocol",
		Long: `Dissector prints a script that teaches Wireshark and tshark the protocol, or
installs it: then any capture of Peregrine's datagrams, on any port, is shown
by connection, packet, message and field. Filter by "peregrine"; requests lead
to their responses, and what was sent again, came late or is missing is marked.`,
		Example: `  peregrine dissector --install
  tshark -i lo -Y peregrine.method==1
  peregrine dissector > p.lua && tshark -X lua_script:p.lua -r capture.pcapng`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case folder != "" && !install:
				return misuse(cmd, fmt.Errorf("--folder is where --install writes: give both"))
			case !install:
				_, err := io.WriteString(cmd.OutOrStdout(), dissector.Script)
				return err
			}
			if folder == "" {
				home, err := os.UserHomeDir()
				if err != nil {
					return fmt.Errorf("say by --folder where Wireshark looks for plugins: %w", err)
				}
				folder = dissector.Folder(home)
			}
			path, err := dissector.Install(folder)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "installed %s\n", path)
			return nil
		},
	}
	cmd.Flags().BoolVar(&install, "install", false, "write it where Wireshark finds it")
	cmd.Flags().StringVar(&folder, "folder", "", "where that is (default: plugins of this user)")
	return cmd
}
