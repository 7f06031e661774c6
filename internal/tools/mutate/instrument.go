package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

// chooser is a file that a package gets: it says which change is made, and notes, if asked, which could have been: the first of
// those at each place that a test comes by.
const chooser = `package %s

import (
	"os"
	"strconv"
	"sync/atomic"
)

var chosenMutant = func() int {
	n, _ := strconv.Atoi(os.Getenv("MUTANT"))
	return n
}()

var reachedMutants [%d]atomic.Bool

var mutantsReached = func() *os.File {
	path := os.Getenv("MUTANTS_REACHED")
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	return f
}()

func mutantAt(place int) int {
	if mutantsReached != nil && !reachedMutants[place].Swap(true) {
		mutantsReached.WriteString(strconv.Itoa(place) + "\n")
	}
	return chosenMutant
}
`

// operators are what each kind of change makes of an operator.
var operators = map[string]map[token.Token]token.Token{
	"CONDITIONALS_BOUNDARY": {token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR},
	"CONDITIONALS_NEGATION": {token.EQL: token.NEQ, token.NEQ: token.EQL, token.LSS: token.GEQ, token.GEQ: token.LSS, token.GTR: token.LEQ, token.LEQ: token.GTR},
	"ARITHMETIC_BASE":       {token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL},
	"INCREMENT_DECREMENT":   {token.INC: token.DEC, token.DEC: token.INC},
	"INVERT_NEGATIVES":      {token.SUB: token.ADD},
	"INVERT_LOGICAL":        {token.LAND: token.LOR, token.LOR: token.LAND},
}

// instrument returns the files of a package, by path, with all changes in them: chosenMutant says by its number which is made.
// So all are tried with one build. What would not compile, such as one of constants or strings, is unviable.
func instrument(root, name string, mutants []*mutant) (map[string]string, error) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports,
		Dir:  root,
	}, "./"+name)
	if err != nil {
		return nil, err
	}
	p := loaded[0]
	if len(p.Errors) > 0 {
		return nil, p.Errors[0]
	}
	at := map[string][]*mutant{}
	for _, m := range mutants {
		m.verdict = unviable // until it is found
		at[fmt.Sprintf("%s:%d:%d", filepath.Join(root, m.file), m.line, m.column)] = append(at[fmt.Sprintf("%s:%d:%d", filepath.Join(root, m.file), m.line, m.column)], m)
	}
	files := map[string]string{filepath.Join(root, name, "chosen_mutant.go"): fmt.Sprintf(chooser, p.Name, len(mutants)+1)}
	for _, file := range p.Syntax {
		path := p.Fset.Position(file.Pos()).Filename
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r := rewriter{Package: p, text: string(text), file: p.Fset.File(file.Pos()), at: at, imports: importsOf(file)}
		if out := r.render(file, file.FileStart, file.FileEnd); out != r.text {
			files[path] = out
		}
	}
	return files, nil
}

// rewriter puts the changes in a file.
type rewriter struct {
	*packages.Package
	text    string
	file    *token.File
	at      map[string][]*mutant
	imports map[string]string // names, by path
}

func importsOf(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, i := range file.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if names[path] = path[strings.LastIndex(path, "/")+1:]; i.Name != nil {
			names[path] = i.Name.Name
		}
	}
	return names
}

// render is the text of a node, from one place to another, with changes.
func (r *rewriter) render(n ast.Node, from, to token.Pos) string {
	var out strings.Builder
	ast.Inspect(n, func(inner ast.Node) bool {
		if inner == nil || inner.Pos() < from {
			return inner != nil
		}
		changed, ok := r.change(inner)
		if ok {
			out.WriteString(r.source(from, inner.Pos()))
			out.WriteString(changed)
			from = inner.End()
		}
		return !ok
	})
	return out.String() + r.source(from, to)
}

func (r *rewriter) source(from, to token.Pos) string {
	return r.text[r.file.Offset(from):r.file.Offset(to)]
}

// change is a node that there are changes of; false: there are none.
func (r *rewriter) change(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		left, right := r.render(n.X, n.X.Pos(), n.X.End()), r.render(n.Y, n.Y.Pos(), n.Y.End())
		return r.choice(n, n.OpPos, n.Op, func(op token.Token) string { return "return (" + left + ") " + op.String() + " (" + right + ")" })
	case *ast.UnaryExpr:
		inner := r.render(n.X, n.X.Pos(), n.X.End())
		return r.choice(n, n.OpPos, n.Op, func(op token.Token) string { return "return " + op.String() + "(" + inner + ")" })
	case *ast.IncDecStmt:
		inner := r.render(n.X, n.X.Pos(), n.X.End())
		return r.choice(n, n.TokPos, n.Tok, func(op token.Token) string { return inner + op.String() + "; return" })
	}
	return "", false
}

// choice is a function that is called where an operator was, and does with it, or with another one, what is chosen.
func (r *rewriter) choice(n ast.Node, pos token.Pos, op token.Token, with func(token.Token) string) (string, bool) {
	kind, ok := "", true
	if e, is := n.(ast.Expr); is {
		kind, ok = r.typeOf(e)
	}
	if !ok {
		return "", false
	}
	var cases strings.Builder
	first := 0
	for _, m := range r.at[fmt.Sprint(r.Fset.Position(pos))] {
		if to, ok := operators[m.kind][op]; ok {
			first = cmp.Or(first, m.number)
			m.verdict, m.reached = untried, first
			fmt.Fprintf(&cases, "case %d: %s; ", m.number, with(to))
		}
	}
	if cases.Len() == 0 {
		return "", false
	}
	return fmt.Sprintf("func() %s { switch mutantAt(%d) { %s}; %s }()", kind, first, cases.String(), with(op)), true
}

// typeOf names the type of an expression that may be changed.
func (r *rewriter) typeOf(e ast.Expr) (string, bool) {
	tv := r.TypesInfo.Types[e]
	if tv.Type == nil || tv.Value != nil {
		return "", false // a constant, whose place may want one
	}
	basic, _ := tv.Type.Underlying().(*types.Basic)
	if basic == nil || basic.Info()&(types.IsNumeric|types.IsBoolean) == 0 {
		return "", false
	}
	known := true
	name := types.TypeString(types.Default(tv.Type), func(p *types.Package) string {
		if p == r.Types {
			return ""
		}
		name := r.imports[p.Path()]
		known = known && name != ""
		return name
	})
	return name, known
}
