package peregrine_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

// update writes engine_types.go anew.
var update = flag.Bool("update", false, "write the documentation of the engine's types anew")

// engineTypes are the types of package core that are part of this package's API.
var engineTypes = []string{"Call", "Trace", "Error", "Code", "ConnState", "Config", "ConfigError", "Event", "EventKind", "Stats"}

// TestTheEnginesTypesAreDocumentedHere keeps engine_types.go: tools that show
// documentation say of an alias only what its own comment says, so that has all
// of the type's, and the default values.
func TestTheEnginesTypesAreDocumentedHere(t *testing.T) {
	t.Parallel()
	const file = "engine_types.go"
	want := renderEngineTypes(t)
	if *update {
		require.NoError(t, os.WriteFile(file, want, 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "run go test -run %s -update .", t.Name())
}

func renderEngineTypes(t *testing.T) []byte {
	engine, packets, setting := documented(t, "core"), documented(t, "core/packet"), documented(t, "internal/setting")
	var b bytes.Buffer
	b.WriteString("// Code generated from package core by go test -run TestTheEnginesTypesAreDocumentedHere -update . DO NOT EDIT.\n\n" +
		"package peregrine\n\nimport \"github.com/peregrine-rpc/peregrine/core\"\n")
	for _, name := range engineTypes {
		declared := find(engine, name)
		described := declared
		switch name {
		case "ConfigError":
			described = find(setting, "Error")
		case "Trace":
			described = find(documented(t, "wire"), name)
		case "Event", "EventKind":
			described = find(packets, name)
		}
		fmt.Fprintf(&b, "\n%s", comment(declared.Doc))
		if fields := fieldsOf(described, defaultsOf(name), packets); fields != "" {
			fmt.Fprintf(&b, "//\n// Its fields:\n//\n%s", quoted(fields))
		}
		methods := methodsOf(described)
		if methods = strings.ReplaceAll(methods, "*"+described.Name, "*"+name); methods != "" {
			fmt.Fprintf(&b, "//\n// Its methods:\n//\n%s", quoted(methods))
		}
		fmt.Fprintf(&b, "type %s = core.%s\n", name, name)
		for _, values := range declared.Consts {
			fmt.Fprintf(&b, "\n%sconst (\n", comment(values.Doc))
			for _, spec := range values.Decl.Specs {
				spec := spec.(*ast.ValueSpec)
				for _, n := range spec.Names {
					if n.IsExported() {
						b.WriteString(comment(spec.Doc.Text()))
						fmt.Fprintf(&b, "%s = core.%s", n.Name, n.Name)
						if line := strings.TrimSpace(spec.Comment.Text()); line != "" {
							fmt.Fprintf(&b, " // %s", line)
						}
						b.WriteString("\n")
					}
				}
			}
			b.WriteString(")\n")
		}
	}
	formatted, err := format.Source(b.Bytes())
	require.NoError(t, err, "%s", b.String())
	return formatted
}

// documented reads a package's documentation.
func documented(t *testing.T, folder string) *doc.Package {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		require.NoError(t, err)
		parsed = append(parsed, f)
	}
	pkg, err := doc.NewFromFiles(fset, parsed, "github.com/peregrine-rpc/peregrine/"+folder)
	require.NoError(t, err)
	return pkg
}

func find(pkg *doc.Package, name string) *doc.Type {
	for _, typ := range pkg.Types {
		if typ.Name == name {
			return typ
		}
	}
	panic("no type " + name)
}

// fieldsOf writes out a struct's exported fields, each with its key in files and
// its default, and those of what it embeds of another package's.
func fieldsOf(typ *doc.Type, defaults map[string]string, embedded *doc.Package) string {
	structure, ok := typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType)
	if !ok {
		return ""
	}
	var b strings.Builder
	for _, field := range structure.Fields.List {
		var names []string
		for _, n := range field.Names {
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
		if sel, ok := field.Type.(*ast.SelectorExpr); ok && len(field.Names) == 0 {
			b.WriteString(fieldsOf(find(embedded, sel.Sel.Name), nil, nil))
		}
		if names == nil {
			continue
		}
		b.WriteString(comment(field.Doc.Text()))
		fmt.Fprintf(&b, "%s %s", strings.Join(names, ", "), source(field.Type))
		notes := strings.TrimSpace(field.Comment.Text())
		if value := defaults[names[0]]; value != "" {
			notes = value
		}
		if notes != "" {
			fmt.Fprintf(&b, " // %s", notes)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func methodsOf(typ *doc.Type) string {
	var b strings.Builder
	for _, m := range typ.Methods {
		b.WriteString(comment(m.Doc))
		m.Decl.Doc, m.Decl.Body = nil, nil
		fmt.Fprintf(&b, "%s\n", source(m.Decl))
	}
	return b.String()
}

func source(node ast.Node) string {
	var b strings.Builder
	if err := format.Node(&b, token.NewFileSet(), node); err != nil {
		panic(err)
	}
	return b.String()
}

// comment makes text a comment.
func comment(text string) string { return prefixed("// ", text) }

// quoted makes text a block of code in a comment.
func quoted(text string) string { return prefixed("//\t", text) }

func prefixed(prefix, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(prefix+line, " \t\n") + "\n")
	}
	return b.String()
}

// defaultsOf is the keys of Config's fields, and what their zero values stand for.
func defaultsOf(name string) map[string]string {
	if name != "Config" {
		return nil
	}
	notes := map[string]string{}
	defaults := reflect.ValueOf(core.Defaults())
	for i := range defaults.NumField() {
		field := defaults.Type().Field(i)
		key := field.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		notes[field.Name] = "key " + key
		if value := defaults.Field(i); !value.IsZero() {
			notes[field.Name] += fmt.Sprintf(", default %v", value.Interface())
		}
	}
	return notes
}
