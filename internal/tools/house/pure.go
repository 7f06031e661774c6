package house

import (
	"go/ast"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// pureFolders hold the protocol: it must replay from a seed in virtual time, so time and packets come in as arguments.
var pureFolders = []string{"core", "core/packet", "core/packet/seal", "cc"}

// impureImports reach the outside world or other goroutines. Chance comes from a seed, too. net/netip (plain values) and sync/atomic (counters that
// others read) are not among them.
var impureImports = []string{"crypto/rand", "unsafe", "os", "os/exec", "os/signal", "net", "sync", "syscall"}

// clockCalls read the clock or start a timer.
var clockCalls = []string{
	"time.Now", "time.Since", "time.Until", "time.Sleep",
	"time.After", "time.AfterFunc", "time.Tick", "time.NewTimer", "time.NewTicker",
	"context.WithTimeout", "context.WithTimeoutCause", "context.WithDeadline", "context.WithDeadlineCause",
}

// Pure keeps clocks, goroutines, locks, sockets, files, cgo and unsafe out of the protocol.
var Pure = &analysis.Analyzer{
	Name: "pure",
	Doc:  "the protocol reads no clock, starts no goroutine and touches nothing outside itself",
	Run:  runPure,
}

func runPure(pass *analysis.Pass) (any, error) {
	folder, ok := folderOf(pass.Pkg.Path())
	if !ok || !slices.Contains(pureFolders, folder) {
		return nil, nil
	}
	for _, file := range sourceFiles(pass) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				if path := importPath(n); slices.Contains(impureImports, path) {
					pass.Reportf(n.Pos(), "%s may not import %s", folder, path)
				}
			case *ast.GoStmt:
				pass.Reportf(n.Pos(), "%s may not start a goroutine", folder)
			case *ast.Ident:
				if name := qualifiedName(pass, n); slices.Contains(clockCalls, name) {
					pass.Reportf(n.Pos(), "%s may not use %s: take the time as an argument", folder, name)
				}
			}
			return true
		})
	}
	return nil, nil
}

// qualifiedName returns "package.Name" of the package-level object that an identifier uses, or "".
func qualifiedName(pass *analysis.Pass, id *ast.Ident) string {
	obj := pass.TypesInfo.Uses[id]
	if obj == nil || obj.Pkg() == nil || obj.Parent() != obj.Pkg().Scope() {
		return ""
	}
	return obj.Pkg().Path() + "." + obj.Name()
}
