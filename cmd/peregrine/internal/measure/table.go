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

// Write prints the table with a rule under its header.
func (t Table) Write(w io.Writer) error {
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
