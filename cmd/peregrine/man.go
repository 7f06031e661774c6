package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "Write the manual pages",
		Long: `Man writes a manual page for each command into a folder, such as
/usr/local/share/man/man1. Their date is SOURCE_DATE_EPOCH's, if that is set.`,
		Example: `  sudo peregrine man /usr/local/share/man/man1 && man peregrine-serve`,
		Args:    arguments(1, 1, "one folder, such as /usr/local/share/man/man1"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true // who made it, and on which day
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Peregrine", Manual: "Peregrine"}, args[0]); err != nil {
				return fmt.Errorf("cannot write the manual pages: %w", err)
			}
			return nil
		},
	}
}
