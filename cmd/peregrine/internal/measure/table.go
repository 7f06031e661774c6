package measure

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is text in columns: the first to the left, the others to the right.
type Table struct {
	Header []string
	Rows   [][]string
}

// Write prints the table with a rule under its header. On a terminal that is too
// narrow for it, each row is lines with a column each.
func (t Table) Write(w io.Writer) error {
	return t.write(w, Width(w))
}

func (t Table) write(w io.Writer, screen int) error {
	widths := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	if screen > 0 && total > screen {
		return t.writeStacked(w)
	}
	var b strings.Builder
	line := func(row []string) {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case i > 0:
				b.WriteString("  " + pad + cell)
			default:
				b.WriteString(cell + pad)
			}
		}
		b.WriteByte('\n')
	}
	line(t.Header)
	b.WriteString(strings.Repeat("─", total) + "\n")
	for _, row := range t.Rows {
		line(row)
	}
	_, err := fmt.Fprint(w, b.String())
	return err
}

func (t Table) writeStacked(w io.Writer) error {
	longest := 0
	for _, name := range t.Header[1:] {
		longest = max(longest, utf8.RuneCountInString(name))
	}
	var b strings.Builder
	for _, row := range t.Rows {
		fmt.Fprintln(&b, strings.TrimSpace(t.Header[0]+" "+row[0]))
		for i, cell := range row[1:] {
			name := t.Header[1+i]
			b.WriteString("  " + name + strings.Repeat(" ", longest-utf8.RuneCountInString(name)) + "  " + cell + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
