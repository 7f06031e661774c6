// Command rules checks the packages it is given with the rules of this module's architecture. It takes staticcheck's
// flags. It is a program of its own so that a rule may change without staticcheck's cache being void.
package main

import (
	"os"

	"honnef.co/go/tools/lintcmd"

	"github.com/peregrine-rpc/peregrine/internal/tools/house"
)

func main() {
	cmd := lintcmd.NewCommand("rules")
	cmd.ParseFlags(os.Args[1:])
	cmd.AddBareAnalyzers(house.Layers, house.Pure, house.Unsafe)
	cmd.Run()
}
