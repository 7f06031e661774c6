package house

import (
	"go/ast"
	"path/filepath"

	"golang.org/x/tools/go/analysis"
)

// Unsafe confines unsafe and cgo to files that say so in their names, so that a reader finds them all by name.
var Unsafe = &analysis.Analyzer{
	Name: "unsafefile",
	Doc:  "unsafe is imported only in files named *_unsafe*.go, C only in files named *_cgo*.go",
	Run:  runUnsafe,
}

func runUnsafe(pass *analysis.Pass) (any, error) {
	for _, file := range pass.Files {
		name := fileName(pass, file)
		if filepath.Ext(name) != ".go" {
			continue // the cgo tool's own, in the build cache
		}
		for _, spec := range file.Imports {
			if importPath(spec) != "unsafe" {
				continue
			}
			if want, what := confinement(pass, file); !matches(want, name) {
				pass.Reportf(spec.Pos(), "%s is imported only in files named %s", what, want)
			}
		}
	}
	return nil, nil
}

// confinement tells cgo from unsafe. An analyzer never sees import "C": the cgo tool has rewritten the file, with
// unsafe in its place and line directives that lead back to the original.
func confinement(pass *analysis.Pass, file *ast.File) (pattern, what string) {
	if pass.Fset.PositionFor(file.Package, false).Filename != pass.Fset.PositionFor(file.Package, true).Filename {
		return "*_cgo*.go", "C"
	}
	return "*_unsafe*.go", "unsafe"
}

func matches(pattern, name string) bool {
	ok, _ := filepath.Match(pattern, name)
	return ok
}
